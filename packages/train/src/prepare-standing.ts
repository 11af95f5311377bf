/** Turns options into a run that can start, and where its data are uploaded, with the server that stands before it. */
import type { TrainingEvent } from './events.ts';
import type { UploadedData } from './host.ts';
import type { TrainOptions } from './options.ts';
import type { Platform } from './platform.ts';
import { defaultSeed, prepare, prepareServer, uploadedData } from './prepare.ts';
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
  /** Closes the server that stands before the run, where there is one. */
  readonly close: () => Promise<void>;
}

/** @throws ConfigurationError where the run cannot be; AbortError where it is stopped before it has its data */
export async function prepareStanding(options: TrainOptions, setting: Setting): Promise<PreparedStanding> {
  const { platform, emit, signal } = setting;
  if (options.data !== uploadedData || !platform.host) {
    return { options, prepared: await prepare(options, platform), platform, close: async () => {} };
  }
  const standing = await platform.host.stand(await prepareServer(options, platform), emit);
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
