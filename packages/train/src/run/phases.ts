/** Phases of a run before its first step: data upload, loading of local workers, and a batch planned at the start. */
import type { OptimizerType, ScheduleType } from '@lockstep/nn';
import type { RunChanges } from '../dashboard/owner.ts';
import type { TrainingEvent } from '../events.ts';
import { uploadedData } from '../option-table.ts';
import type { TrainingData, TrainOptions } from '../options.ts';
import type { Platform } from '../platform.ts';
import { defaultSeed, localWorkersOf, prepare, prepareServer } from '../prepare.ts';
import type { Prepared } from '../prepared.ts';
import type { Site } from '../site/site.ts';
import type { UploadedData } from '../site/upload.ts';
import { runTraining, type Trained, type TrainingJob } from './run-training.ts';

export interface Setting {
  readonly platform: Platform;
  /** Undefined in a page. */
  readonly site: Site | undefined;
  readonly emit: (event: TrainingEvent) => void;
  readonly signal: AbortSignal;
}

export interface PreparedRun {
  /** The requested options, with the uploaded data. */
  readonly options: TrainOptions;
  readonly prepared: Prepared;
}

/**
 * Prepares a run on its site: if data are to be uploaded, the server opens first; otherwise local workers load while
 * the data are read, on an otherwise idle core.
 * @throws ConfigurationError if there can be no such run; AbortError if it is stopped before it has its data
 */
export async function prepareOnSite(options: TrainOptions, setting: Setting): Promise<PreparedRun> {
  const { platform, site } = setting;
  if (options.data === uploadedData && site) return receive(options, site, setting);
  const setup = localWorkersOf(options, platform);
  if (setup.count > 0) site?.startWorkers(setup);
  return { options, prepared: await prepare(options, platform, site?.settings) };
}

async function receive(options: TrainOptions, site: Site, { platform, emit, signal }: Setting): Promise<PreparedRun> {
  const settings = await prepareServer(options, platform);
  await site.open(settings);
  emit({ type: 'note', message: 'The run waits for its data: bring them on the dashboard.' });
  const uploaded = new WeakMap<Prepared, UploadedData>();
  const prepared = await site.receiveData(settings, {
    seed: options.seed ?? defaultSeed,
    signal,
    async prepare(data) {
      const run = await prepare({ ...options, data }, platform, site.settings);
      uploaded.set(run, data);
      return run;
    },
  });
  const data = uploaded.get(prepared)!;
  emit({ type: 'note', message: data.found });
  // No other run needs the files unless the server stays.
  if (!prepared.listen?.stay) site.forgetData();
  return { options: { ...options, data }, prepared };
}

/**
 * Gathers workers in a run that takes no steps; when it is started, trains another run on its server, to which the
 * workers move. So nothing that depends on the batch changes within a run. A run that is stopped before its start is
 * returned itself.
 */
export async function trainPlannedAtStart(
  job: TrainingJob,
  options: TrainOptions,
): Promise<PreparedRun & { readonly trained: Trained }> {
  const { prepared, platform, site } = job;
  const stay = prepared.listen?.stay;
  let workers = 0;
  const gathered = await runTraining({
    ...job,
    prepared: asGathering(prepared),
    onStart(run, recorder) {
      workers = [...run.state.connections.values()].filter(({ phase }) => phase === 'ready').length;
      recorder.stop('planned');
    },
  });
  const { ending } = gathered;
  if (ending?.type !== 'stopped' || ending.code !== 'planned') {
    if (!stay) await gathered.close();
    return { trained: gathered, prepared, options };
  }
  try {
    const { train, test, reading, token } = prepared;
    const most = Math.floor(train.count / (options.microbatch ?? 1));
    const counted = { ...options, expect: Math.max(1, Math.min(workers, most)) };
    const next = await prepare({ ...counted, data: { train, test, reading } }, platform, site?.settings);
    const planned: Prepared = { ...next, token, ...(next.listen && { listen: { ...next.listen, stay } }) };
    const trained = await runTraining({
      ...job,
      prepared: planned,
      startWorkers: counted.expect,
      onControl(control) {
        job.onControl(control);
        // The viewers and workers move to the new run.
        void gathered.close();
      },
    });
    return { trained, prepared: planned, options: counted };
  } catch (error) {
    await gathered.close();
    throw error;
  }
}

/** A run that keeps its server for the next run, and writes nothing. */
function asGathering({ listen, ...prepared }: Prepared): Prepared {
  return { ...prepared, checkpoint: undefined, listen: listen && { ...listen, waitForStart: true, stay: true } };
}

/**
 * The options of the next run on a server. Checkpoints and initial weights of another model belong to the first run
 * only; another optimizer has its own settings.
 */
export async function changedOptions(
  { checkpoint: _, ...options }: TrainOptions,
  changes: RunChanges,
): Promise<TrainOptions> {
  const { seed, model, batch, epochs } = changes;
  return {
    ...options,
    ...(seed !== undefined && { seed, data: await splitBy(options.data, seed) }),
    ...(model !== undefined && { model, initialWeights: undefined }),
    ...(batch !== undefined && { batch }),
    // A limit of steps would cut the requested epochs short.
    ...(epochs !== undefined && { epochs, steps: undefined }),
    optimizer: changedOptimizer(options.optimizer, changes),
  };
}

function changedOptimizer(
  before: TrainOptions['optimizer'],
  { optimizer, learningRate, schedule }: RunChanges,
): TrainOptions['optimizer'] {
  const given = typeof before === 'string' ? { type: before } : before;
  // Unknown names of optimizers and schedules are refused with the other options.
  const kept = optimizer === undefined ? given : { type: optimizer as OptimizerType };
  if (learningRate === undefined && schedule === undefined) return kept;
  return {
    ...(kept ?? { type: 'momentum' as const }),
    ...(learningRate !== undefined && { learningRate }),
    ...(schedule !== undefined && { schedule: schedule as ScheduleType }),
  };
}

async function splitBy(data: TrainOptions['data'], seed: number): Promise<string | TrainingData | undefined> {
  return typeof data === 'object' && data.splitBy ? data.splitBy(seed) : data;
}
