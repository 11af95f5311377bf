/** One training run from its first worker to its last evaluation. */

import type { Transcriber } from '@lockstep/audit';
import { createPause, type ParameterServer } from '@lockstep/compute';
import type { Run } from '@lockstep/coordinator';
import { type Dataset, fieldOf } from '@lockstep/data';
import { type DatasetEvaluator, evaluationWork, parameterCount, type WeightsMemory } from '@lockstep/nn';
import {
  type CreatedRun,
  createMeasurement,
  createRun,
  dataHash,
  idlePool,
  type Measured,
  type Prepared,
  runText,
  type WorkerPool,
  type WritingSetup,
} from '@lockstep/prepare';
import { bytesOf } from '@lockstep/protocol';
import {
  addTraffic,
  createReport,
  type Evaluated,
  noTraffic,
  type OnEpoch,
  Recorder,
  type Report,
  type RunEnding,
  type StepEvent,
  type TrainingEvent,
  type WrittenCheckpoint,
} from '@lockstep/record';
import type { Checkpointer, OpenedCheckpoints } from '@lockstep/record/node';
import { historyOf } from '@lockstep/rules';
import type { OnRunAgain, Site } from '@lockstep/server';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { isHostChoice, systemClock } from '@lockstep/worker';
import { openInlineCompute, type TrainingPlatform } from './training-platform.ts';

export interface TrainingJob {
  readonly prepared: Prepared;
  readonly platform: TrainingPlatform;
  /** The run's server; undefined in a page. */
  readonly site: Site | undefined;
  readonly emit: (event: TrainingEvent) => void;
  readonly onStep: ((event: StepEvent) => void) | undefined;
  readonly onEpoch: OnEpoch | undefined;
  /** Called once, with a function that starts, pauses and resumes the run, and one that copies its weights. */
  readonly onControl: (control: Run['control'], weights: () => Float32Array<ArrayBuffer>) => void;
  readonly onRunAgain: OnRunAgain | undefined;
  /** Number of workers that the run waits for at first; by default its local ones. */
  readonly startWorkers?: number | undefined;
  /** Called instead of beginning, when the run is started. */
  readonly onStart?: ((run: Run, recorder: Recorder) => void) | undefined;
  /** Aborted to end the run after the current step. */
  readonly signal: AbortSignal;
}

export interface Trained {
  /** Undefined if every step was taken, or the run stopped early by itself. */
  readonly ending: RunEnding | undefined;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly report: Report;
  /** The newest checkpoint of a run that wrote some and did not fail. */
  readonly checkpoint: WrittenCheckpoint | undefined;
  /** Ends what `stay` keeps of the run, but not its site. */
  readonly close: () => Promise<void>;
}

export async function runTraining(job: TrainingJob): Promise<Trained> {
  const { prepared, platform } = job;
  const startedAt = new Date().toISOString();
  // Opened before anything starts that a failure would leave running.
  const opened = await openBackends(prepared, platform);
  const closeBackend = async (): Promise<void> => opened.backend.close?.();
  const { created, recorder, checkpointer, transcript, pool, wireSoFar, dataSha256 } = await begin(job, opened).catch(
    async (error: unknown) => {
      await closeBackend();
      throw error;
    },
  );
  const { run, parameterServer } = created;
  recorder.ended(await run.outcome);
  // Counted before the goodbyes, which are not part of training.
  const wire = wireSoFar();
  // A failed run would fail again from its last step.
  const isWorthKeeping = recorder.data.ending?.type !== 'failed';
  const isFinished = (recorder.data.ending?.type ?? 'finished') === 'finished';
  const written = isWorthKeeping ? checkpointer?.finish(isFinished) : undefined;
  const turnedAway = pool.turnedAway?.();
  await pool.stop();
  await written;
  const close = async (): Promise<void> => {
    await pool.close();
    await closeBackend();
  };
  try {
    const weights = (await recorder.finish()) ?? parameterServer.weights();
    const isMeasured = isWorthKeeping && recorder.data.epochs.length > 0;
    const unmeasured = { test: null, validation: prepared.validation && null };
    const { test: metrics, validation: validationMetrics } = isMeasured
      ? await recorder.metricsOf(weights)
      : unmeasured;
    const report = createReport({
      ...{ startedAt, machine: platform.machine, wire, turnedAway, metrics, validationMetrics },
      data: { name: prepared.data.name ?? null, sha256: dataSha256 },
      ...{ model: prepared.model, config: prepared.config, state: run.state, record: recorder.data },
      weightsSha256: platform.sha256(bytesOf(weights)),
    });
    recorder.reported(report, weights);
    const { ending, checkpoint: checkpoints } = recorder.data;
    const { weightsSha256, kept, steps } = report;
    const outcome = ending?.type ?? 'finished';
    const message = await transcript?.end({ outcome, step: kept?.step ?? steps, weightsSha256 });
    if (message !== undefined) job.emit({ type: 'note', message });
    const checkpoint = isWorthKeeping ? checkpoints?.newest : undefined;
    return { ending, weights, report, checkpoint, close };
  } finally {
    recorder.dispose();
    transcript?.close();
    if (!prepared.listen?.stay) await close();
  }
}

type Opened = Awaited<ReturnType<typeof openBackends>>;

/**
 * The run's own backend computes sums and optimizer steps, whatever the workers use. `inline` computes shards in a run
 * of one process: the same backend if the choice allows it, otherwise another one.
 */
async function openBackends(
  { model, listen, backend: name, threads, workers, colocate }: Prepared,
  platform: TrainingPlatform,
) {
  const isAlone = listen === undefined;
  const isOwn = (isAlone || colocate) && (name === 'auto' || name === 'cpu');
  const beside = threadsBesideWorkers(parameterCount(model), platform.cores - (isAlone ? 1 : workers) * threads);
  const { backend, choice } = await openBackend('auto', platform.threads(isOwn ? threads : beside));
  if (!isAlone) return { backend, choice, inline: undefined };
  // If WebAssembly is unavailable, `auto` has opened another backend than `cpu`.
  const suits = isOwn && (name === 'auto' || backend.name === name);
  return {
    backend,
    choice,
    inline: suits ? { compute: undefined, choice } : await openInlineCompute(platform, name, threads),
  };
}

/** For fewer parameters, a second thread makes the additions and the optimizer step slower. */
const leastParameters = 500_000;
/** Sums and steps are memory-bound, and a few threads saturate the memory. */
const mostThreads = 4;

/** @param freeCores cores not used by local workers */
export function threadsBesideWorkers(parameters: number, freeCores: number): number {
  return parameters < leastParameters ? 1 : Math.max(1, Math.min(mostThreads, freeCores));
}

/** Says what computes in this process, or in local workers, which choose by the same rule. */
function computingLine({ choice, inline }: Opened, { backend, workers, colocate }: Prepared): string | undefined {
  if (inline) return `In this process: ${inline.choice}`;
  if (colocate) return `In this process and its local workers: ${choice}`;
  if (workers === 0) return undefined;
  if (!isHostChoice(backend)) return `Local workers open ${backend}, which can take a minute`;
  return backend === 'auto' ? `Local workers: ${choice}` : undefined;
}

/** Begins a run, and returns its parts. */
async function begin(job: TrainingJob, opened: Opened) {
  const { prepared, platform, signal, emit } = job;
  const { model, plan, config } = prepared;
  const checkpoints = await platform.host?.openCheckpoints(prepared);
  const parameters = parameterCount(model);
  const { stepsPerEpoch } = plan;
  emit({ type: 'prepared', model, parameters, config, stepsPerEpoch, message: runText(prepared) });
  for (const message of checkpoints?.lines ?? []) emit({ type: 'note', message });
  const transcript = await platform.host?.openTranscript(prepared, checkpoints);
  const { created, recorder } = await createRecordedRun(job, opened.backend, checkpoints, transcript);
  const { run, parameterServer } = created;
  let pool: WorkerPool = idlePool;
  const before = checkpoints?.resumeFrom?.progress.wire ?? noTraffic;
  /** Bytes of this process and of those before it. */
  const wireSoFar = () => addTraffic(before, pool.traffic());
  // A run that had stopped early has nothing to add to its last checkpoint.
  const isSaved = recorder.data.stoppedAfterEpoch !== undefined;
  const running: CheckpointedParts = { run, parameterServer, recorder, transcript, wireSoFar };
  const checkpointer = isSaved ? undefined : checkpoints && writeCheckpoints(checkpoints, running);
  const computing = isOver(run) ? undefined : computingLine(opened, prepared);
  if (computing !== undefined) emit({ type: 'note', message: computing });
  pool = await startWorkers(job, opened, created, recorder).catch((error: unknown) => {
    // The run's clock would keep the process alive.
    run.stop('no worker can join');
    transcript?.close();
    throw error;
  });
  recorder.evaluatePending();
  job.onControl(
    (action) => run.control(action),
    () => parameterServer.weights(),
  );
  const stop = (): void => recorder.stop('program');
  signal.addEventListener('abort', stop);
  void run.outcome.then(() => signal.removeEventListener('abort', stop));
  if (signal.aborted) stop();
  const known = checkpoints?.identity.data ?? transcript?.dataSha256;
  // Until the workers have the address and join, there is time.
  await new Promise<void>((resolve) => systemClock.after(0, resolve));
  const dataSha256 = known ?? dataHash(prepared.train, platform.newSha256);
  return { created, recorder, checkpointer, transcript, pool, wireSoFar, dataSha256 };
}

/** Whether a checkpoint was of the run's end. */
function isOver({ state }: Run): boolean {
  return state.phase === 'finished';
}

async function startWorkers(job: TrainingJob, { backend, inline }: Opened, created: CreatedRun, recorder: Recorder) {
  const { site, emit, onRunAgain, prepared } = job;
  const { listen, workers, colocate } = prepared;
  const { run, parameterServer, startInlineWorker, startColocatedWorker } = created;
  if (!listen || !site) return startInlineWorker(inline?.compute);
  if (isOver(run) && !listen.stay) return idlePool;
  // If every step has been taken, nothing is left for local workers.
  const attached = { ...prepared, listen, workers: isOver(run) ? 0 : workers };
  const serving = { run, parameterServer, backend, recorder, emit, onRunAgain, prepared: attached };
  const pool = await site.attach(serving);
  if (colocate && !isOver(run)) startColocatedWorker();
  return pool;
}

async function createRecordedRun(
  job: TrainingJob,
  backend: HostBackend,
  checkpoints: OpenedCheckpoints | undefined,
  transcript: Transcriber | undefined,
) {
  const { prepared, platform, emit, onStep, onEpoch, onStart, signal } = job;
  const { plan, config, validation, listen, workers, colocate } = prepared;
  const { resumeFrom, resumed } = checkpoints ?? {};
  const evaluatorOf = (data: Dataset, writing?: WritingSetup) =>
    createRunEvaluator(job, backend, { model: prepared.model, data, writing }, () => parameterServer);
  const { writing } = prepared;
  const recorder = new Recorder({
    ...{ plan, signal, resumeFrom, resumed, emit, onStep, onEpoch },
    evaluator: evaluatorOf(prepared.test),
    validation: validation && { evaluator: evaluatorOf(validation), config: config.validation! },
    writing: writing && {
      writer: evaluatorOf(validation ?? prepared.test, writing),
      ...{ prompt: config.prompt!, every: config.sampleEvery! },
    },
    targetField: fieldOf(prepared.test.targets),
    weights: () => parameterServer.weights(),
    run: () => run,
    nowMs: systemClock.nowMs,
    pause: createPause(listen === undefined, systemClock),
  });
  const created = await createRun({
    ...{ prepared, platform, backend, resumeFrom, transcript },
    startWorkers: job.startWorkers ?? Math.max(1, workers + (colocate ? 1 : 0)),
    onEvent: (event) => recorder.event(event, run.state),
    onStep: (result) => recorder.step(result, run.state),
    onKeep: (step, forget) => recorder.keep(step, forget),
    onGoBack: (step) => recorder.goBack(step),
    onTrace: (trace) => recorder.trace(trace),
    onStart: onStart && (() => onStart(run, recorder)),
  });
  const { run, parameterServer } = created;
  const { refereeHash: numericsHash = '', refereeMode: numericMode = '' } = run.state.setup;
  const warn = (line: string, guestLine: string): void => recorder.warn(line, guestLine);
  try {
    const message = transcript?.begin({ parameterServer, numericMode, numericsHash, warn });
    if (message !== undefined) emit({ type: 'note', message });
  } catch (error) {
    // The run's clock would keep the process alive.
    run.stop('its transcript cannot be written');
    throw error;
  }
  recorder.limitSteps();
  return { created, recorder };
}

/** With more parameters, the memory of another engine with copies of the weights costs more than taking turns does. */
const mostParametersBeside = 2 ** 22;

/** Evaluations of more work, about half a second, take several threads, which need 20 ms to start. */
const mostWorkOfThread = 2 ** 33;

/** In a run of one process, evaluations share its threads and take turns with the steps, as do those of large models. */
function createRunEvaluator(
  { prepared, platform, emit }: TrainingJob,
  backend: HostBackend,
  measured: Measured,
  parameterServer: () => ParameterServer,
): DatasetEvaluator<Evaluated> {
  const isLarge = parameterCount(measured.model) > mostParametersBeside;
  // Vectors of the parameter server hold the weights of a large model while it is evaluated.
  const vectors: WeightsMemory = {
    take: () => parameterServer().aggregator.reserveVector(),
    give: (vector) => parameterServer().aggregator.release(vector),
  };
  const inline = () => createMeasurement(backend, measured, isLarge ? vectors : undefined);
  if (!prepared.listen || !platform.host || isLarge) return inline();
  const isLong = evaluationWork(measured.model, measured.data.count) > mostWorkOfThread;
  const { name, threads: own = 1 } = backend;
  // They have a lower priority than steps: beside two workers of gpt on two cores, two took no time from the steps.
  const threads = isLong ? Math.min(mostThreads, platform.cores) : own;
  return platform.host.createEvaluator({ backend: name, threads, ...measured }, (reason) => {
    const message = `evaluations share a thread with training: ${reason}`;
    emit({ type: 'warning', message });
    return inline();
  });
}

interface CheckpointedParts extends Pick<CreatedRun, 'run' | 'parameterServer'> {
  readonly recorder: Recorder;
  readonly transcript: Transcriber | undefined;
  readonly wireSoFar: () => Report['wire'];
}

/** Writes checkpoints after steps that are due, and after a worker's lie was found. */
function writeCheckpoints(checkpoints: OpenedCheckpoints, parts: CheckpointedParts): Checkpointer {
  const { run, parameterServer, recorder, transcript, wireSoFar } = parts;
  const stepsTaken = (): number => run.state.current.step;
  const checkpointer = checkpoints.createCheckpointer({
    nowMs: systemClock.nowMs,
    stepsTaken,
    copy() {
      const { progress, ...epochs } = recorder.progress();
      return {
        transcript: transcript?.sealForCheckpoint(),
        step: stepsTaken(),
        identity: checkpoints.identity,
        weights: parameterServer.weights(),
        optimizer: parameterServer.optimizerState(),
        progress: { ...progress, wire: wireSoFar() },
        history: historyOf(run.state, systemClock.nowMs()),
        ...epochs,
      };
    },
    beforeWrite: async () => transcript?.sendParts(),
    onWritten: (written) => recorder.written(written),
    log: (line, guestLine) => recorder.warn(line, guestLine),
  });
  recorder.subscribe((event) => {
    if (event.type === 'step') checkpointer.stepped();
    // Checkpoints of later steps contain wrong results.
    else if (event.type === 'wentBack') checkpointer.goBack();
    // If the run could not go back, checkpoints claim that all workers agreed.
    else if (event.type === 'quarantined' && run.state.isTainted) checkpointer.hurry();
  });
  return checkpointer;
}
