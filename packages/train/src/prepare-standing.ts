/** Turns options into a run that can start, with what stands before it: its local workers, or where data are uploaded, its server. */
import type { TrainingEvent } from './events.ts';
import type { Host, UploadedData } from './host.ts';
import { uploadedData } from './option-table.ts';
import type { TrainOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { defaultSeed, localWorkersOf, prepare, prepareServer } from './prepare.ts';
import type { Prepared } from './prepared.ts';

interface Setting {
  readonly platform: Platform;
  readonly emit: (event: TrainingEvent) => void;
  readonly signal: AbortSignal;
}

export interface PreparedStanding {
  /** As they were asked for, with the data that were uploaded. */
  readonly options: TrainOptions;
  readonly prepared: Prepared;
  /** On which the run is to be trained. */
  readonly platform: Platform;
  /** Closes what stands before the run, where there is anything. */
  readonly close: () => Promise<void>;
}

/** @throws ConfigurationError where the run cannot be; AbortError where it is stopped before it has its data */
export async function prepareStanding(options: TrainOptions, setting: Setting): Promise<PreparedStanding> {
  const { host } = setting.platform;
  return options.data === uploadedData && host
    ? prepareOnServer(options, host, setting)
    : prepareBesideWorkers(options, setting.platform);
}

/** Local workers load while the run's data are read, on a core that nothing needs yet. */
async function prepareBesideWorkers(options: TrainOptions, platform: Platform): Promise<PreparedStanding> {
  const setup = localWorkersOf(options, platform);
  if (setup.count === 0 || !platform.host) {
    return { options, prepared: await prepare(options, platform), platform, close: async () => {} };
  }
  const { host, close } = platform.host.startWorkers(setup);
  const there: Platform = { ...platform, host };
  try {
    return { options, prepared: await prepare(options, there), platform: there, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function prepareOnServer(options: TrainOptions, server: Host, setting: Setting): Promise<PreparedStanding> {
  const { platform, emit, signal } = setting;
  const standing = await server.stand(await prepareServer(options, platform), emit);
  const { host, close } = standing;
  const there: Platform = { ...platform, host };
  emit({ type: 'note', message: 'The run waits for its data: bring them on the dashboard.' });
  const uploaded = new WeakMap<Prepared, UploadedData>();
  try {
    const prepared = await standing.receiveData({
      seed: options.seed ?? defaultSeed,
      signal,
      async prepare(data) {
        const run = await prepare({ ...options, data }, there);
        uploaded.set(run, data);
        return run;
      },
    });
    const data = uploaded.get(prepared)!;
    emit({ type: 'note', message: data.found });
    // Of a server that does not stay, no other run asks for the files.
    if (!prepared.listen?.stay) standing.forgetData();
    return { options: { ...options, data }, prepared, platform: there, close };
  } catch (error) {
    await close();
    throw error;
  }
}
