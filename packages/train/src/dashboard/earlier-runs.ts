/** The runs that a server has had, for the chart of the current one. */
import { toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import type { Prepared } from '../prepared.ts';
import type { CurvePoint } from '../record/curve.ts';
import type { EpochReport } from '../record/report.ts';
import { pointBytes } from './messages.ts';

type RunSettings = WatchMessageOf<'earlierRuns'>['runs'][number]['settings'];

/** What is left of a run. */
export interface EarlierRun {
  /** What it was given, and how many workers computed it. */
  readonly settings: RunSettings;
  readonly stepsPerEpoch: number;
  readonly steps: number;
  readonly points: readonly CurvePoint[];
  readonly epochs: readonly EpochReport[];
}

const mostRuns = 8;
const mostPoints = 400;
const mostEpochs = 100;

export class EarlierRuns {
  readonly #runs: EarlierRun[] = [];
  #current: (() => EarlierRun) | undefined;

  /** Another run begins. @param current returns what is known of it so far */
  begin(current: () => EarlierRun): void {
    const last = this.#current?.();
    // A run that only gathered workers has taken no step.
    if (last && last.steps > 0) this.#runs.push(thinned(last));
    if (this.#runs.length > mostRuns) this.#runs.shift();
    this.#current = current;
  }

  /** Undefined if the current run is the first. */
  message(): WatchMessageOf<'earlierRuns'> | undefined {
    if (this.#runs.length === 0 || !this.#current) return undefined;
    const labels = labelsOf([...this.#runs, this.#current()].map(({ settings }) => settings));
    const runs = this.#runs.map(({ settings, stepsPerEpoch, steps, points, epochs }, index) => {
      return { label: labels[index]!, settings, stepsPerEpoch, steps, points: pointBytes(points), epochs: [...epochs] };
    });
    return { type: 'earlierRuns', label: labels.at(-1)!, runs };
  }
}

/** @param workers that computed it */
export function settingsOf({ model, config }: Prepared, workers: number): RunSettings {
  const { optimizer, seed, batch, epochs } = config;
  const { type, learningRate, schedule } = optimizer;
  const name = toMessageText(model.name, 80) || 'model';
  const course = schedule?.type ?? 'constant';
  return { model: name, optimizer: type, learningRate, batch, epochs, schedule: course, seed, workers };
}

/** What a person may change from run to run, as a label says it. */
const labelTexts = {
  model: ({ model }) => model,
  optimizer: ({ optimizer }) => optimizer,
  lr: ({ learningRate }) => `lr ${Number(learningRate.toPrecision(4))}`,
  batch: ({ batch }) => `batch ${batch}`,
  epochs: ({ epochs }) => `${epochs} ${epochs === 1 ? 'epoch' : 'epochs'}`,
  schedule: ({ schedule }) => `${schedule} rate`,
  seed: ({ seed }) => `seed ${seed}`,
} as const satisfies Readonly<Record<string, (settings: RunSettings) => string>>;

/** What each has otherwise than the others; runs that are alike are numbered. */
export function labelsOf(runs: readonly RunSettings[]): string[] {
  const texts = Object.values(labelTexts).filter((textOf) => new Set(runs.map(textOf)).size > 1);
  const labels = runs.map((settings) => texts.map((textOf) => textOf(settings)).join(', '));
  return labels.map((label, index) => {
    const isAlone = label !== '' && labels.indexOf(label) === labels.lastIndexOf(label);
    return toMessageText(isAlone ? label : [label, `run ${index + 1}`].filter(Boolean).join(', '), 200);
  });
}

function thinned({ points, epochs, ...rest }: EarlierRun): EarlierRun {
  return { ...rest, points: evenly(points, mostPoints), epochs: evenly(epochs, mostEpochs) };
}

/** At most `most` items, evenly spread, the last one among them. */
export function evenly<T>(list: readonly T[], most: number): readonly T[] {
  const every = Math.ceil(list.length / most);
  return list.filter((_, index) => (list.length - 1 - index) % every === 0);
}
