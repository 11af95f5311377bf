/** One training run from its first worker to its last evaluation. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createEvaluator, parameterCount } from '@lockstep/nn';
import { bytesOf, toMessageText } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { createReport, type Report, systemClock } from '@lockstep/train';
import type { RunOutcome } from '@lockstep/training';
import { createRun } from './create-run.ts';
import { Dashboard } from './dashboard/dashboard.ts';
import type { Display } from './display.ts';
import { thousands } from './format.ts';
import { createGate } from './gate.ts';
import { startInlineWorker } from './inline-worker.ts';
import { startNetwork } from './network.ts';
import { openCompute } from './open-compute.ts';
import { describeOptimizer } from './optimizer.ts';
import type { CoordinatorOptions } from './options.ts';
import type { Prepared } from './prepare.ts';
import { RunObserver } from './run-observer.ts';
import { sha256 } from './sha256.ts';
import type { WorkerPool } from './worker-pool.ts';

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
  readonly weights: Float32Array<ArrayBuffer>;
  readonly report: Report;
  /** Ends what `--stay` keeps open. */
  readonly close: () => Promise<void>;
}

export async function train(job: TrainOptions): Promise<Trained> {
  const { version, options, prepared, display } = job;
  const { model, config } = prepared;
  const { run, parameterServer, observer, pool } = await start(job);
  const outcome = await run.outcome;
  // Counted before the goodbyes, which are no part of training.
  const wire = pool.traffic();
  const turnedAway = pool.turnedAway?.();
  await pool.stop();
  const close = (): Promise<void> => pool.close();
  const records = await observer.finish().finally(() => (options.stay ? undefined : close()));
  display.end();
  const weights = parameterServer.weights();
  const weightsSha256 = sha256(bytesOf(weights));
  const report = createReport({
    version,
    config,
    model,
    state: run.state,
    weightsSha256,
    wire,
    turnedAway,
    ...records,
  });
  return { outcome, weights, report, close };
}

async function start({ version, options, prepared, display, signal }: TrainOptions) {
  const { model, plan, test } = prepared;
  // For the sums, the optimizer's steps and the evaluation, whatever the workers compute on.
  const { backend, choice } = await openBackend('auto');
  // Opened before anything is started that a refusal would leave behind.
  const inline = options.single ? await openCompute(options.backend) : undefined;
  const observer = new RunObserver(display, {
    plan,
    evaluator: createEvaluator(backend, model, test),
    weights: () => parameterServer.weights(),
    nowMs: systemClock.nowMs,
    pause: () => nextTurn(),
    signal,
  });
  const { run, parameterServer, limits } = await createRun({
    prepared,
    backend,
    startWorkers: options.single ? 1 : Math.max(1, options.workers),
    waitForStart: options['wait-for-start'],
    faultInjection: options.chaos,
    onEvent: (event) => observer.event(event, run.state),
    onStep: (result) => observer.step(result, run.state),
    onTrace: (trace) => observer.trace(trace),
  });
  const gate = createGate({ ...prepared, publicView: options['public-view'] });
  const log = (line: string): void => display.line(line);
  const startServer = (): Promise<WorkerPool> => {
    // A failure to show the run does not end it.
    const onError = (error: unknown): void => log(`  the dashboard failed: ${toMessageText(String(error))}`);
    const { permission } = gate;
    const onFull = (): void => gate.turnedAway.count('full');
    const shown = {
      version,
      run,
      parameterServer,
      backend,
      prepared,
      saveTo: options.save,
      permission,
      onFull,
      onError,
    };
    observer.dashboard = new Dashboard(shown);
    return startNetwork({ run, limits, options, prepared, gate, dashboard: observer.dashboard, log });
  };
  log(trainingLine(prepared));
  if (inline) log(`In this process: ${inline.choice}`);
  // Local workers choose by the same rule as this process.
  else if (options.workers > 0 && options.backend === 'auto') log(`Local workers: ${choice}`);
  const starting = inline ? startInlineWorker(run, inline.compute) : startServer();
  const pool = await starting.catch((error: unknown) => {
    // The run's clock would keep the process alive.
    run.stop('no worker can join');
    throw error;
  });
  const stop = (): void => run.stop('the coordinator was interrupted');
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  return { run, parameterServer, observer, pool };
}

function trainingLine({ model, plan, config, optimizer }: Prepared): string {
  const what = `${model.name}, ${thousands(parameterCount(model))} parameters`;
  const how = `batch ${plan.batch}, ${describeOptimizer(optimizer)}`;
  const epochs = config.epochs === 1 ? '1 epoch' : `${config.epochs} epochs`;
  return `Training ${what}: ${epochs} of ${thousands(plan.samples)} images, ${how}`;
}
