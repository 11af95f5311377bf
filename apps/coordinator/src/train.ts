/** One training run from its first worker to its last evaluation. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createEvaluator, parameterCount } from '@lockstep/nn';
import { bytesOf, toMessageText } from '@lockstep/protocol';
import { createReport, type Report, systemClock } from '@lockstep/train';
import type { CoordinatorState, RunEvent, RunOutcome } from '@lockstep/training';
import { assemble, sha256 } from './assemble.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import { showRun } from './dashboard/show.ts';
import { type Display, thousands } from './display.ts';
import { createEpochs } from './epochs.ts';
import { createEventLines } from './event-lines.ts';
import type { Addresses } from './http/addresses.ts';
import { createLossCurve } from './loss-curve.ts';
import { hireOverNetwork } from './network.ts';
import { describeOptimizer } from './optimizer.ts';
import type { CoordinatorOptions } from './options.ts';
import type { Prepared } from './prepare.ts';
import { createStepTimes } from './step-times.ts';
import { openCompute, openHost } from './this-process.ts';
import { hireThisProcess } from './worker-pool.ts';

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
  const { backend, choice } = await openHost();
  // Opened before anything is started that a refusal would leave behind.
  const single = options.single ? await openCompute(options.backend) : undefined;
  const epochs = createEpochs({
    plan,
    evaluator: createEvaluator(backend, model, test),
    weights: () => parameterServer.weights(),
    nowMs: systemClock.nowMs,
    pause: () => nextTurn(),
    onEpoch(report, weights) {
      display.epoch(report);
      dashboard?.epoch(report, weights);
    },
  });
  const stepTimes = createStepTimes();
  const curve = createLossCurve();
  let dashboard: Dashboard | undefined;
  const eventLine = createEventLines(systemClock.nowMs);
  const onEvent = (event: RunEvent): void => {
    if (event.type === 'started') {
      epochs.start();
      display.started();
    }
    const line = options.single ? undefined : eventLine(event, run.state);
    if (line === undefined) return;
    display.line(`  ${line}`);
    dashboard?.say(line);
  };
  const { run, parameterServer, limits } = await assemble({
    prepared,
    backend,
    startWorkers: options.single ? 1 : Math.max(1, options.workers),
    onEvent,
    onStep(result) {
      stepTimes.stepped(result.step, systemClock.nowMs());
      epochs.add(result);
      curve.add(result, epochs.seconds);
      display.step(result, readyWorkers(run.state));
      dashboard?.step(result);
    },
    onTrace(trace) {
      stepTimes.trace(trace);
      dashboard?.trace(trace);
    },
    waitForStart: options['wait-for-start'],
    faultInjection: options.chaos,
  });

  const layers = `${model.name}, ${thousands(parameterCount(model))} parameters`;
  display.line(
    `Training ${layers}: ${config.epochs} epochs of ${thousands(plan.samples)} images, batch ${plan.batch}, ${describeOptimizer(optimizer)}`,
  );

  if (single) display.line(`In this process: ${single.choice}`);
  // They open what this process has opened, by the same rule.
  else if (options.workers > 0 && options.backend === 'auto') display.line(`Local workers: ${choice}`);

  const say = (line: string): void => display.line(line);
  const show = ({ open: joinAddresses }: Addresses): Dashboard => {
    const { adminToken } = prepared;
    const saveTo = options.save;
    // What viewers see must not end a run.
    const onError = (error: unknown): void => say(`  the dashboard failed: ${toMessageText(String(error))}`);
    const about = { version, run, parameterServer, backend, prepared, joinAddresses, adminToken, saveTo, onError };
    dashboard = showRun(about);
    return dashboard;
  };
  const hire = single
    ? hireThisProcess(run, single.compute)
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
  const weights = parameterServer.weights();
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
    stepTimes: stepTimes.times(),
    curve: curve.points(),
  });
  return { outcome, weights, report, close };
}

function readyWorkers(state: CoordinatorState): number {
  return [...state.connections.values()].filter(({ phase }) => phase === 'ready').length;
}
