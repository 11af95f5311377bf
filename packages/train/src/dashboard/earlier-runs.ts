/** The runs that a server has had, for the chart of the current one. */
import { toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import type { Prepared } from '../prepared.ts';
import type { CurvePoint, EpochReport } from '../report/report.ts';
import { pointBytes } from './messages.ts';

type RunSettings = WatchMessageOf<'earlierRuns'>['runs'][number]['settings'];

/** What is left of a run. */
export interface RunRecord {
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
  readonly #records: RunRecord[] = [];
  #current: (() => RunRecord) | undefined;

  /** Another run begins. @param record gives what there is of it */
  begin(record: () => RunRecord): void {
    const last = this.#current?.();
    // One that only gathered workers has taken no step.
    if (last && last.steps > 0) this.#records.push(thinned(last));
    if (this.#records.length > mostRuns) this.#records.shift();
    this.#current = record;
  }

  /** Undefined where the current run is the first. */
  message(): WatchMessageOf<'earlierRuns'> | undefined {
    if (this.#records.length === 0 || !this.#current) return undefined;
    const labels = labelsOf([...this.#records, this.#current()].map(({ settings }) => settings));
    const runs = this.#records.map(({ settings, stepsPerEpoch, steps, points, epochs }, index) => {
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

function thinned({ points, epochs, ...rest }: RunRecord): RunRecord {
  return { ...rest, points: someOf(points, mostPoints), epochs: someOf(epochs, mostEpochs) };
}

/** Every n-th, the last one among them. */
function someOf<T>(list: readonly T[], most: number): readonly T[] {
  const every = Math.ceil(list.length / most);
  return list.filter((_, index) => (list.length - 1 - index) % every === 0);
}
