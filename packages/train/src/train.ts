/** One training run from its first worker to its last evaluation. */
import { createEvaluator, parameterCount } from '@lockstep/nn';
import { bytesOf, toMessageText } from '@lockstep/protocol';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import type { Run, RunOutcome } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { Checkpointer, type CheckpointerOptions, type WrittenCheckpoint } from './checkpoint/checkpointer.ts';
import { copyRun } from './checkpoint/copy-run.ts';
import { type OpenedCheckpoints, openCheckpoints } from './checkpoint/open.ts';
import { isStoppedByAdmin } from './dashboard/admin-actions.ts';
import { Dashboard, type DashboardOptions } from './dashboard/dashboard.ts';
import { createGate, type Gate } from './network/gate.ts';
import { type Listening, startNetwork } from './network/network.ts';
import { describeOptimizer } from './optimizer/optimizer.ts';
import type { Prepared } from './prepared.ts';
import { createReport, type Report } from './report/report.ts';
import { createRun } from './run/create-run.ts';
import { startInlineWorker } from './run/inline-worker.ts';
import { openCompute } from './run/open-compute.ts';
import type { RunListener } from './run/run-listener.ts';
import { RunObserver } from './run/run-observer.ts';
import { createPause } from './run/turns.ts';
import { idlePool, type Traffic, type WorkerPool } from './run/worker-pool.ts';
import { samplesWord } from './samples-word.ts';
import { sha256 } from './sha256.ts';
import { thousands } from './thousands.ts';

export interface TrainingJob {
  readonly version: string;
  readonly prepared: Prepared;
  readonly listener: RunListener;
  /** Aborted when the run is to end where it is. */
  readonly signal: AbortSignal;
}

export interface Trained {
  readonly outcome: RunOutcome;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly report: Report;
  /** The newest one, where the run was cut off or has finished and wrote some. */
  readonly checkpoint: WrittenCheckpoint | undefined;
  /** Ends what `stay` keeps open. */
  readonly close: () => Promise<void>;
}

export async function train(job: TrainingJob): Promise<Trained> {
  const { version, prepared, signal, listener } = job;
  const { model, config } = prepared;
  const { run, parameterServer, observer, pool, wireSoFar } = await start(job);
  const outcome = await run.outcome;
  // Counted before the goodbyes, which are no part of training.
  const wire = wireSoFar();
  const { checkpointer } = observer;
  // A run that failed would fail again from its last step.
  const isWorthKeeping = outcome.type === 'finished' || signal.aborted || isStoppedByAdmin(outcome);
  const written = isWorthKeeping ? checkpointer?.finish() : undefined;
  const turnedAway = pool.turnedAway?.();
  await pool.stop();
  await written;
  const close = (): Promise<void> => pool.close();
  const records = await observer.finish().finally(() => (prepared.listen?.stay ? undefined : close()));
  listener.end();
  const weights = parameterServer.weights();
  const weightsSha256 = sha256(bytesOf(weights));
  const state = run.state;
  const report = createReport({ version, config, model, state, weightsSha256, wire, turnedAway, ...records });
  return { outcome, weights, report, checkpoint: isWorthKeeping ? checkpointer?.newest : undefined, close };
}

async function start(job: TrainingJob) {
  const { prepared, listener, signal } = job;
  const { listen } = prepared;
  const log = (line: string): void => listener.line(line);
  // Opened before anything is started that a refusal would leave behind.
  const { backend, choice, inline } = await openBackends(prepared);
  const checkpoints = await openCheckpoints(prepared);
  for (const line of [trainingLine(prepared), ...(checkpoints?.lines ?? [])]) log(line);
  const { created, observer } = await createObservedRun(job, backend, checkpoints);
  const { run, parameterServer, limits } = created;
  let pool: WorkerPool = idlePool;
  const wireSoFar = (): Traffic => sumOf(checkpoints?.resumeFrom?.progress.wire, pool.traffic());
  if (checkpoints) {
    const { identity } = checkpoints;
    const copy = () => copyRun({ identity, run, parameterServer, observer, wire: wireSoFar() });
    observer.checkpointer = createCheckpointer(checkpoints, run, observer, { copy, log });
  }
  const isOver = run.state.phase === 'finished';
  if (inline && !isOver) log(`In this process: ${inline.choice}`);
  // Local workers choose by the same rule as this process.
  if (!inline && !isOver && prepared.workers > 0 && prepared.backend === 'auto') log(`Local workers: ${choice}`);
  const startServer = (listen: NonNullable<Prepared['listen']>): Promise<WorkerPool> => {
    const gate = createGate({ ...prepared, publicView: listen.publicView ?? false });
    const dashboard = createDashboard(job, { run, parameterServer, backend, gate, checkpoints });
    observer.dashboard = dashboard;
    const serving = isOver ? { ...prepared, workers: 0 } : prepared;
    const onListening = (listening: Listening): void => listener.listening(listening);
    return startNetwork({ run, limits, listen, prepared: serving, gate, dashboard, log, onListening });
  };
  if (inline || !isOver || listen?.stay) {
    const starting = listen ? startServer(listen) : startInlineWorker(created, prepared, inline?.compute);
    pool = await starting.catch((error: unknown) => {
      // The run's clock would keep the process alive.
      run.stop('no worker can join');
      throw error;
    });
  }
  observer.evaluatePending();
  const stop = (): void => run.stop('the coordinator was interrupted');
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  return { run, parameterServer, observer, pool, wireSoFar };
}

async function createObservedRun(
  { prepared, listener, signal }: TrainingJob,
  backend: HostBackend,
  checkpoints: OpenedCheckpoints | undefined,
) {
  const { model, plan, test, listen, workers } = prepared;
  const resumeFrom = checkpoints?.resumeFrom;
  const observer = new RunObserver(listener, {
    plan,
    evaluator: createEvaluator(backend, model, test),
    targetType: test.targets.type,
    weights: () => parameterServer.weights(),
    nowMs: systemClock.nowMs,
    pause: createPause(listen === undefined, systemClock.nowMs),
    signal,
    resumeFrom,
  });
  const created = await createRun({
    prepared,
    backend,
    startWorkers: listen ? Math.max(1, workers) : 1,
    waitForStart: listen?.waitForStart ?? false,
    faultInjection: listen?.faultInjection ?? false,
    resumeFrom,
    onEvent: (event) => observer.event(event, run.state),
    onStep: (result) => observer.step(result, run.state),
    onTrace: (trace) => observer.trace(trace),
  });
  const { run, parameterServer } = created;
  return { created, observer };
}

/**
 * The run's own backend, for sums, the optimizer's steps and the evaluation, whatever workers compute on. `inline` is what
 * computes shards in a run of one process: that backend where the choice allows it, else a compute beside it.
 */
async function openBackends({ listen, backend: name, threads }: Prepared) {
  const single = listen === undefined;
  const isOwn = single && (name === 'auto' || name === 'cpu');
  const { backend, choice } = await openBackend('auto', nodeThreads(isOwn ? threads : 1));
  if (!single) return { backend, choice, inline: undefined };
  // Where WebAssembly is refused, `auto` has opened another backend than `cpu`.
  const inline = isOwn && (name === 'auto' || backend.name === name) ? { choice } : await openCompute(name, threads);
  return { backend, choice, inline: { compute: undefined, ...inline } };
}

function createCheckpointer(
  { store, runName, interval, resumed }: OpenedCheckpoints,
  run: Run,
  observer: RunObserver,
  { copy, log }: Pick<CheckpointerOptions, 'copy' | 'log'>,
): Checkpointer {
  return new Checkpointer({
    store,
    runName,
    interval,
    nowMs: systemClock.nowMs,
    stepsTaken: () => run.state.current.step,
    copy,
    newest: resumed,
    onWritten: (written) => observer.dashboard?.checkpoint(written),
    log(line) {
      log(`  ${line}`);
      observer.dashboard?.event(line);
    },
  });
}

function createDashboard(
  { version, prepared, listener }: TrainingJob,
  parts: Pick<DashboardOptions, 'run' | 'parameterServer' | 'backend'> & {
    readonly gate: Gate;
    readonly checkpoints: OpenedCheckpoints | undefined;
  },
): Dashboard {
  const { checkpoints, gate, ...shown } = parts;
  // A failure to show the run does not end it.
  const onError = (error: unknown): void => listener.line(`  the dashboard failed: ${toMessageText(String(error))}`);
  const { resumeFrom, resumed } = checkpoints ?? {};
  return new Dashboard({
    version,
    ...shown,
    prepared,
    saveTo: prepared.listen?.saveTo,
    permission: gate.permission,
    onFull: () => gate.turnedAway.count('full'),
    onError,
    progressBefore: resumeFrom?.progress,
    resumed,
  });
}

function trainingLine({ model, plan, config, optimizer }: Prepared): string {
  const from = config.initSha256 === undefined ? '' : `, from weights ${config.initSha256.slice(0, 16)}…`;
  const what = `${model.name}, ${thousands(parameterCount(model))} parameters${from}`;
  const how = `batch ${plan.batch}, ${describeOptimizer(optimizer)}`;
  const epochs = config.epochs === 1 ? '1 epoch' : `${config.epochs} epochs`;
  return `Training ${what}: ${epochs} of ${thousands(plan.samples)} ${samplesWord(config.data)}, ${how}`;
}

function sumOf(before: Traffic | undefined, now: Traffic): Traffic {
  const { bytesSent = 0, bytesReceived = 0 } = before ?? {};
  return { bytesSent: bytesSent + now.bytesSent, bytesReceived: bytesReceived + now.bytesReceived };
}
