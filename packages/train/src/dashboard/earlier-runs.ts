/** The runs that a server has had, for the chart of the current one. */
import { toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import type { Prepared } from '../prepared.ts';
import type { CurvePoint, EpochReport } from '../report/report.ts';
import { pointBytes } from './messages.ts';

/** What is left of a run. */
export interface RunRecord {
  /** What a person may change from run to run, by its name. */
  readonly values: Readonly<Record<string, string>>;
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
    const labels = labelsOf([...this.#records, this.#current()].map(({ values }) => values));
    const runs = this.#records.map(({ stepsPerEpoch, steps, points, epochs }, index) => {
      return { label: labels[index]!, stepsPerEpoch, steps, points: pointBytes(points), epochs: [...epochs] };
    });
    return { type: 'earlierRuns', label: labels.at(-1)!, runs };
  }
}

export function valuesOf({ model, config }: Prepared): RunRecord['values'] {
  const { optimizer, seed, batch } = config;
  const { type, learningRate } = optimizer;
  return {
    model: model.name,
    optimizer: type,
    lr: `lr ${Number(learningRate.toPrecision(4))}`,
    batch: `batch ${batch}`,
    seed: `seed ${seed}`,
  };
}

/** What each has otherwise than the others; runs that are alike are numbered. */
export function labelsOf(runs: readonly RunRecord['values'][]): string[] {
  const names = Object.keys(runs[0] ?? {}).filter((name) => new Set(runs.map((values) => values[name])).size > 1);
  const labels = runs.map((values) => names.map((name) => values[name]).join(', '));
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
