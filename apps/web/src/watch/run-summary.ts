/** What a run was given and what it came to, for a table of runs. */
import type { WatchMessageOf } from '@lockstep/protocol';
import type { EpochReport } from './curves.ts';
import type { Run, WorkerRow } from './run-store.ts';

type Settings = WatchMessageOf<'earlierRuns'>['runs'][number]['settings'];

export interface RunSummary {
  /** Among the runs of the server, from 0. */
  readonly place: number;
  readonly label: string;
  readonly settings: Settings;
  /** Of the last epoch that was evaluated. */
  readonly testLoss: number | undefined;
  readonly testAccuracy: number | undefined;
  readonly testRmse: number | undefined;
  /** Of training. */
  readonly seconds: number | undefined;
}

export function summaryOf(
  { place, label, settings, seconds }: Pick<RunSummary, 'place' | 'label' | 'settings' | 'seconds'>,
  epochs: readonly EpochReport[],
): RunSummary {
  const last = epochs.at(-1);
  return {
    ...{ place, label, settings, seconds },
    testLoss: last?.testLoss,
    testAccuracy: last?.testAccuracy ?? undefined,
    testRmse: last?.testRmse ?? undefined,
  };
}

/** Of the run that is watched. */
export function settingsOf({ model, config }: Run, workers: readonly WorkerRow[]): Settings {
  const { name = 'model' } = (model ?? {}) as { readonly name?: string };
  const { type = 'unknown', learningRate = 0 } = (config.optimizer ?? {}) as {
    readonly type?: string;
    readonly learningRate?: number;
  };
  return {
    ...{ model: name, optimizer: type, learningRate, batch: config.batch, seed: config.seed },
    workers: workers.filter(({ shards }) => shards > 0).length,
  };
}
