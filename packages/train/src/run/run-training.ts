/** One training run from its first worker to its last evaluation. */

import { createPause } from '@lockstep/compute';
import { createEvaluator, type Evaluator, parameterCount, type WeightsMemory } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { historyOf } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { isHostChoice, systemClock } from '@lockstep/worker';
import type { Checkpointer } from '../checkpoint/checkpointer.ts';
import type { OpenedCheckpoints } from '../checkpoint/open.ts';
import type { Run } from '../coordinator/run.ts';
import type { OnRunAgain } from '../dashboard/owner.ts';
import type { Ending, StepEvent, TrainingEvent } from '../events.ts';
import type { Platform } from '../platform.ts';
import { dataHash, type Prepared, runText } from '../prepared.ts';
import { createReport, Recorder, type WrittenCheckpoint } from '../record/recorder.ts';
import type { Report } from '../record/report.ts';
import type { Site, WorkerPool } from '../site/site.ts';
import { type CreatedRun, createRun, idlePool, startColocatedWorker, startInlineWorker } from './create-run.ts';

export interface TrainingJob {
  readonly prepared: Prepared;
  readonly platform: Platform;
  /** The run's server; undefined in a page. */
  readonly site: Site | undefined;
  readonly emit: (event: TrainingEvent) => void;
  readonly onStep: ((event: StepEvent) => void) | undefined;
  /** Called once, with a function that starts, pauses and resumes the run. */
  readonly onControl: (control: Run['control']) => void;
  readonly onRunAgain: OnRunAgain | undefined;
  /** Number of workers that the run waits for at first; by default its local ones. */
  readonly startWorkers?: number | undefined;
  /** Called instead of beginning, when the run is started. */
  readonly onStart?: ((run: Run, recorder: Recorder) => void) | undefined;
  /** Aborted to end the run after the current step. */
  readonly signal: AbortSignal;
}

export interface Trained {
  /** Undefined if every step was taken. */
  readonly ending: Ending | undefined;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly report: Report;
  /** The newest checkpoint of a run that wrote some and did not fail. */
  readonly checkpoint: WrittenCheckpoint | undefined;
  /** Ends what `stay` keeps of the run, but not its site. */
  readonly close: () => Promise<void>;
}

export async function runTraining(job: TrainingJob): Promise<Trained> {
  const { prepared, platform } = job;
  const { model, config, listen } = prepared;
  const startedAt = new Date().toISOString();
  const { run, parameterServer, recorder, checkpointer, pool, backend, wireSoFar } = await start(job);
  recorder.ended(await run.outcome);
  const { ending } = recorder.data;
  // Counted before the goodbyes, which are not part of training.
  const wire = wireSoFar();
  // A failed run would fail again from its last step.
  const isWorthKeeping = ending?.type !== 'failed';
  const written = isWorthKeeping ? checkpointer?.finish() : undefined;
  const turnedAway = pool.turnedAway?.();
  await pool.stop();
  await written;
  const close = async (): Promise<void> => {
    await pool.close();
    await closeBackend(backend);
  };
  try {
    const weights = (await recorder.finish()) ?? parameterServer.weights();
    const weightsSha256 = platform.sha256(bytesOf(weights));
    const state = run.state;
    const data = { name: prepared.dataName ?? null, sha256: dataHash(prepared.train, platform.newSha256) };
    const origin = { startedAt, machine: platform.machine, data };
    const record = recorder.data;
    const report = createReport({ ...origin, config, model, state, record, weightsSha256, wire, turnedAway });
    recorder.reported(report, weights);
    const checkpoint = isWorthKeeping ? checkpointer?.newest : undefined;
    return { ending, weights, report, checkpoint, close };
  } finally {
    if (!listen?.stay) await close();
  }
}

async function start(job: TrainingJob) {
  // Opened before anything starts that a failure would leave running.
  const opened = await openBackends(job.prepared, job.platform);
  try {
    return await begin(job, opened);
  } catch (error) {
    await closeBackend(opened.backend);
    throw error;
  }
}

type Opened = Awaited<ReturnType<typeof openBackends>>;

async function begin(job: TrainingJob, opened: Opened) {
  const { prepared, platform, site, signal, emit } = job;
  const { listen, checkpoint } = prepared;
  const { backend, inline } = opened;
  const checkpoints = checkpoint && (await platform.host?.openCheckpoints(prepared));
  emit(preparedEvent(prepared));
  for (const message of checkpoints?.lines ?? []) emit({ type: 'note', message });
  const { created, recorder } = await createRecordedRun(job, backend, checkpoints);
  const { run, parameterServer, limits } = created;
  let pool: WorkerPool = idlePool;
  const wireSoFar = (): Report['wire'] => sumOf(checkpoints?.resumeFrom?.progress.wire, pool.traffic());
  const checkpointer = checkpoints && createCheckpointer(job, checkpoints, { created, recorder, wireSoFar });
  const isOver = run.state.phase === 'finished';
  const computing = isOver ? undefined : computingLine(opened, prepared);
  if (computing !== undefined) emit({ type: 'note', message: computing });
  if (inline || !isOver || listen?.stay) {
    const { onRunAgain } = job;
    const serving = { run, limits, parameterServer, backend, recorder, emit, onRunAgain };
    // If every step has been taken, nothing is left for local workers.
    const attached = { ...prepared, workers: isOver ? 0 : prepared.workers };
    const starting =
      listen && site
        ? site.attach({ ...serving, prepared: { ...attached, listen } })
        : startInlineWorker(created, prepared, platform, inline?.compute);
    pool = await starting.catch((error: unknown) => {
      // The run's clock would keep the process alive.
      run.stop('no worker can join');
      throw error;
    });
    if (prepared.colocate && !isOver) startColocatedWorker(created, prepared);
  }
  recorder.evaluatePending();
  job.onControl((action) => run.control(action));
  const stop = (): void => recorder.stop('program');
  signal.addEventListener('abort', stop);
  void run.outcome.then(() => signal.removeEventListener('abort', stop));
  if (signal.aborted) stop();
  return { run, parameterServer, recorder, checkpointer, pool, backend, wireSoFar };
}

async function createRecordedRun(job: TrainingJob, backend: HostBackend, checkpoints: OpenedCheckpoints | undefined) {
  const { prepared, platform, emit, onStep, onStart, signal } = job;
  const { plan, listen, workers, colocate } = prepared;
  const resumeFrom = checkpoints?.resumeFrom;
  const recorder = new Recorder({
    plan,
    evaluator: createRunEvaluator(job, backend, {
      take: () => parameterServer.aggregator.reserveVector(),
      give: (vector) => parameterServer.aggregator.release(vector),
    }),
    targetType: prepared.test.targets.type,
    weights: () => parameterServer.weights(),
    run: () => run,
    nowMs: systemClock.nowMs,
    pause: createPause(listen === undefined, systemClock),
    signal,
    resumeFrom,
    resumed: checkpoints?.resumed,
    emit,
    onStep,
  });
  const created = await createRun({
    prepared,
    platform,
    backend,
    startWorkers: job.startWorkers ?? Math.max(1, workers + (colocate ? 1 : 0)),
    waitForStart: listen?.waitForStart ?? false,
    faultInjection: listen?.faultInjection ?? false,
    anotherMayFollow: listen?.stay ?? false,
    resumeFrom,
    onEvent: (event) => recorder.event(event, run.state),
    onStep: (result) => recorder.step(result, run.state),
    onTrace: (trace) => recorder.trace(trace),
    onStart: onStart && (() => onStart(run, recorder)),
  });
  const { run, parameterServer } = created;
  return { created, recorder };
}

/** With more parameters, the memory of another engine with copies of the weights costs more than taking turns does. */
const mostParametersBeside = 2 ** 22;

/**
 * In a run of one process, evaluations share its threads and take turns with the steps, as do those of large models.
 * @param vectors of the parameter server, which hold the weights of a large model while it is evaluated
 */
function createRunEvaluator(
  { prepared, platform, emit }: TrainingJob,
  backend: HostBackend,
  vectors: WeightsMemory,
): Evaluator {
  const { model, test, listen } = prepared;
  const isLarge = parameterCount(model) > mostParametersBeside;
  const inline = (): Evaluator => createEvaluator(backend, model, test, isLarge ? vectors : undefined);
  if (!listen || !platform.host || isLarge) return inline();
  const { name, threads = 1 } = backend;
  return platform.host.createEvaluator({ backend: name, threads, model, data: test }, (reason) => {
    emit({
      type: 'warning',
      message: `evaluations take turns with the steps, having no thread of their own: ${reason}`,
    });
    return inline();
  });
}

/**
 * The run's own backend computes sums and optimizer steps, whatever the workers use. `inline` computes shards in a run
 * of one process: the same backend if the choice allows it, otherwise another one.
 */
async function openBackends(prepared: Prepared, platform: Platform) {
  const { model, listen, backend: name, threads, workers, colocate } = prepared;
  const isAlone = listen === undefined;
  const isOwn = (isAlone || colocate) && (name === 'auto' || name === 'cpu');
  const beside = threadsBesideWorkers(parameterCount(model), platform.cores - (isAlone ? 1 : workers) * threads);
  const { backend, choice } = await openBackend('auto', platform.threads(isOwn ? threads : beside));
  if (!isAlone) return { backend, choice, inline: undefined };
  // If WebAssembly is unavailable, `auto` has opened another backend than `cpu`.
  const suits = isOwn && (name === 'auto' || backend.name === name);
  const inline = suits ? { choice } : await platform.openCompute(name, threads);
  return { backend, choice, inline: { compute: undefined, ...inline } };
}

/** Says what computes in this process, or in local workers, which choose by the same rule. */
function computingLine({ choice, inline }: Opened, prepared: Prepared) {
  if (inline) return `In this process: ${inline.choice}`;
  if (prepared.colocate) return `In this process and its local workers: ${choice}`;
  if (prepared.workers === 0) return undefined;
  if (!isHostChoice(prepared.backend)) return `Local workers open ${prepared.backend}, which can take a minute`;
  return prepared.backend === 'auto' ? `Local workers: ${choice}` : undefined;
}

interface Recorded {
  readonly created: CreatedRun;
  readonly recorder: Recorder;
  readonly wireSoFar: () => Report['wire'];
}

function createCheckpointer(
  { platform }: TrainingJob,
  { identity, store, runName, interval, resumed }: OpenedCheckpoints,
  { created: { run, parameterServer }, recorder, wireSoFar }: Recorded,
): Checkpointer | undefined {
  const checkpointer = platform.host?.createCheckpointer({
    store,
    runName,
    interval,
    nowMs: systemClock.nowMs,
    stepsTaken: () => run.state.current.step,
    copy() {
      const { progress, unevaluated } = recorder.progress();
      return {
        step: run.state.current.step,
        identity,
        weights: parameterServer.weights(),
        optimizer: parameterServer.optimizerState(),
        progress: { ...progress, wire: wireSoFar() },
        history: historyOf(run.state, systemClock.nowMs()),
        unevaluated,
      };
    },
    newest: resumed,
    onWritten: (written) => recorder.written(written),
    log: (line, guestLine) => recorder.warn(line, guestLine),
  });
  recorder.subscribe((event) => {
    if (event.type === 'step') checkpointer?.stepped();
    // Existing checkpoints claim that all workers agreed, but contain results of one that lied.
    else if (event.type === 'quarantined' && event.shards > 0) checkpointer?.hurry();
  });
  return checkpointer;
}

function preparedEvent(prepared: Prepared): TrainingEvent {
  const { model, plan, config } = prepared;
  const message = runText(prepared);
  return {
    type: 'prepared',
    model,
    parameters: parameterCount(model),
    config,
    stepsPerEpoch: plan.stepsPerEpoch,
    message,
  };
}

async function closeBackend(backend: HostBackend & { close?: () => Promise<void> }): Promise<void> {
  await backend.close?.();
}

function sumOf(before: Report['wire'] | undefined, now: Report['wire']): Report['wire'] {
  const { bytesSent = 0, bytesReceived = 0 } = before ?? {};
  return { bytesSent: bytesSent + now.bytesSent, bytesReceived: bytesReceived + now.bytesReceived };
}

/** For fewer parameters, a second thread makes the additions and the optimizer step slower. */
const leastParameters = 500_000;
/** Sums and steps are memory-bound, and a few threads saturate the memory. */
const mostThreads = 4;

/** @param freeCores cores not used by local workers */
export function threadsBesideWorkers(parameters: number, freeCores: number): number {
  return parameters < leastParameters ? 1 : Math.max(1, Math.min(mostThreads, freeCores));
}
