/** The settings and results of a run, as a row for the table of runs. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { whole } from '../look/format.ts';
import type { EpochReport } from './curves.ts';
import type { Run, RunStore } from './run-store.ts';
import type { ShownWorker } from './status.ts';

type Settings = WatchMessageOf<'earlierRuns'>['runs'][number]['settings'];

export interface RunSummary {
  /** Index among the server's runs, from 0. */
  readonly place: number;
  readonly label: string;
  readonly settings: Settings;
  /** Test results of the last epoch that was evaluated. */
  readonly testLoss: number | undefined;
  readonly testAccuracy: number | undefined;
  readonly testRmse: number | undefined;
  /** Duration of the training. */
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

/** Says when a model was evaluated: after a whole epoch, or after the step at which the run ended within an epoch. */
export function evaluatedText(
  epoch: number,
  { run, progress, isOver }: Pick<RunStore, 'run' | 'progress' | 'isOver'>,
): string {
  const { stepsPerEpoch = 1 } = run.value ?? {};
  const { step = 0 } = progress.value ?? {};
  return isOver.value && step < epoch * stepsPerEpoch ? `step ${whole(step)}` : `epoch ${whole(epoch)}`;
}

/** Reads the optimizer, which messages carry as plain data. */
export function optimizerOf({
  optimizer,
}: Run['config']): Pick<Settings, 'learningRate' | 'schedule'> & { type: string } {
  const {
    type = 'unknown',
    learningRate = 0,
    schedule,
  } = (optimizer ?? {}) as {
    readonly type?: string;
    readonly learningRate?: number;
    readonly schedule?: { readonly type?: string };
  };
  return { type, learningRate, schedule: schedule?.type ?? 'constant' };
}

/** Returns the settings of the watched run. */
export function settingsOf({ model, config }: Run, workers: readonly ShownWorker[]): Settings {
  const { name = 'model' } = (model ?? {}) as { readonly name?: string };
  const { type, learningRate, schedule } = optimizerOf(config);
  const { batch, epochs, seed } = config;
  return {
    ...{ model: name, optimizer: type, learningRate, batch, epochs, schedule, seed },
    workers: workers.filter(({ shards }) => shards > 0).length,
  };
}
