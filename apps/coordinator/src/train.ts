/** One training run from its first worker to its last evaluation. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { usageFailure } from '@lockstep/command';
import { parameterCount } from '@lockstep/nn';
import { bytesOf, toSentence } from '@lockstep/protocol';
import { type HostBackend, isHostBackend, openBackend } from '@lockstep/tensor';
import {
  type CoordinatorState,
  createEvaluator,
  createReport,
  type Notice,
  type Report,
  type RunOutcome,
  type Trace,
} from '@lockstep/training';
import { assemble, clock, sha256 } from './assemble.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import { showRun } from './dashboard/show.ts';
import { type Display, thousands } from './display.ts';
import { createEpochs } from './epochs.ts';
import type { Addresses } from './http/addresses.ts';
import { hireOverNetwork } from './network.ts';
import { noticeLine } from './notices.ts';
import { describeOptimizer } from './optimizer.ts';
import type { CoordinatorOptions } from './options.ts';
import type { Prepared } from './prepare.ts';
import { hireThisProcess } from './workforce.ts';

export interface TrainOptions {
  readonly version: string;
  readonly options: CoordinatorOptions;
  readonly prepared: Prepared;
  readonly display: Display;
  /** Aborted when the run is to end where it is. */
  readonly signal: AbortSignal;
}

export interface Trained {
  readonly outcome: RunOutcome;
  readonly weights: Float32Array;
  readonly report: Report;
  /** Ends what `--stay` keeps open. */
  readonly close: () => Promise<void>;
}

export async function train({ version, options, prepared, display, signal }: TrainOptions): Promise<Trained> {
  const { model, plan, config, optimizer, test } = prepared;
  const backend = await hostBackend();
  // Where training happens in this process, it is on the backend that was asked for.
  const workBackend = options.single ? await chosenBackend(options.backend) : backend;
  const epochs = createEpochs({
    plan,
    evaluator: createEvaluator(backend, model, test),
    weights: () => learner.weights(),
    nowMs: clock.nowMs,
    pause: () => nextTurn(),
    onEpoch(report, weights) {
      display.epoch(report);
      dashboard?.epoch(report, weights);
    },
  });
  let dashboard: Dashboard | undefined;
  const onNotice = (notice: Notice): void => {
    if (notice.type === 'started') {
      epochs.start();
      display.started();
    }
    const line = options.single ? undefined : noticeLine(notice, run.state);
    if (line === undefined) return;
    display.line(`  ${line}`);
    dashboard?.say(line);
  };
  const { run, learner, limits } = await assemble({
    prepared,
    backend,
    startWorkers: options.single ? 1 : Math.max(1, options.workers),
    onNotice,
    onStep(result) {
      epochs.add(result);
      display.step(result, readyWorkers(run.state));
      dashboard?.step(result);
    },
    ...(options.single ? {} : { onTrace: (trace: Trace) => dashboard?.trace(trace) }),
    waitForStart: options['wait-for-start'],
    chaos: options.chaos,
  });

  const layers = `${model.name}, ${thousands(parameterCount(model))} parameters`;
  display.line(
    `Training ${layers}: ${config.epochs} epochs of ${thousands(plan.samples)} images, batch ${plan.batch}, ${describeOptimizer(optimizer)}`,
  );

  const say = (line: string): void => display.line(line);
  const show = ({ open: joinAddresses }: Addresses): Dashboard => {
    const { adminToken } = prepared;
    const saveTo = options.save;
    // What viewers see must not end a run.
    const onError = (error: unknown): void => say(`  the dashboard failed: ${toSentence(String(error))}`);
    const about = { version, run, learner, backend, prepared, joinAddresses, adminToken, saveTo, onError };
    dashboard = showRun(about);
    return dashboard;
  };
  const hire = options.single
    ? hireThisProcess(run, workBackend)
    : hireOverNetwork({ run, limits, options, prepared, say, show });
  const workforce = await hire.catch((error: unknown) => {
    // Its clock would keep the process alive.
    run.stop('nobody can take part');
    throw error;
  });
  const interrupt = (): void => {
    epochs.abandon();
    run.stop('the coordinator was interrupted');
  };
  signal.addEventListener('abort', interrupt);
  if (signal.aborted) interrupt();

  const outcome = await run.outcome;
  // Counted before the goodbyes, which are no part of training.
  const wire = workforce.traffic();
  await workforce.dismiss();
  const close = (): Promise<void> => workforce.close();
  const epochReports = await epochs.finish().finally(() => (options.stay ? undefined : close()));
  display.end();
  const weights = learner.weights();
  const report = createReport({
    version,
    config,
    model,
    state: run.state,
    initialLoss: epochs.initialLoss,
    epochs: epochReports,
    images: epochs.images,
    steps: epochs.steps,
    wallSeconds: epochs.seconds,
    weightsSha256: sha256(bytesOf(weights)),
    wire,
  });
  return { outcome, weights, report, close };
}

function readyWorkers(state: CoordinatorState): number {
  return [...state.connections.values()].filter(({ phase }) => phase === 'ready').length;
}

/** For the sums, the optimizer's steps and the evaluation, whatever the workers compute on. */
async function hostBackend(): Promise<HostBackend> {
  return chosenBackend('auto');
}

async function chosenBackend(name: CoordinatorOptions['backend']): Promise<HostBackend> {
  try {
    const { backend } = await openBackend(name);
    if (isHostBackend(backend)) return backend;
  } catch (error) {
    throw usageFailure(`--backend ${name}: ${(error as Error).message}`);
  }
  throw usageFailure(`--backend ${name}: expected one that computes in this process`);
}
