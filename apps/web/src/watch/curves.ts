/** The training curves: collects points as they arrive and returns them as columns to draw. */
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';
import { isLossFinite } from '../look/format.ts';

export type EpochReport = WatchMessageOf<'epoch'>['report'];
/** Curves of training and test. */
export type CurveKind = 'loss' | 'accuracy';
/** What the horizontal axis counts: steps, seconds of training, or epochs. */
export type CurveAxis = 'step' | 'time' | 'epoch';

export type Column = (number | null)[];

/** Columns of one length; `null` where a series has no point. Accuracies are in percent. */
export interface CurveTable {
  /** Places on the axis, in ascending order. */
  readonly at: number[];
  readonly train: Column;
  readonly smoothTrain: Column;
  readonly test: Column;
}

/** The curve of one run among those that are shown together. */
export interface RunCurve {
  readonly label: string;
  readonly table: CurveTable;
}

/** How a person wants to see curves. */
export interface CurveView {
  readonly axis: CurveAxis;
  /** Points in the moving mean; 1 for none. */
  readonly memory: number;
}

interface RunView extends CurveView {
  readonly stepsPerEpoch: number;
  /** The last step that the run takes: where an epoch is cut short, it ends there. */
  readonly lastStep: number;
}

/** About the width of a large screen in pixels; more points than this are merged in pairs. */
const maxPoints = 3_000;
/** The moving mean's memory grows from 1 at the start, so that the first fall keeps its shape. */
const memoryGrowth = 0.1;

export class Curves {
  #steps: number[] = [];
  #seconds: number[] = [];
  #values: Record<CurveKind, number[]> = { loss: [], accuracy: [] };

  get length(): number {
    return this.#steps.length;
  }

  /** Since training began, at the newest point. */
  get seconds(): number | undefined {
    return this.#seconds.at(-1);
  }

  clear(): void {
    this.#steps = [];
    this.#seconds = [];
    this.#values = { loss: [], accuracy: [] };
  }

  add(points: WatchMessageOf<'progress'>['points']): void {
    const losses = floatsFrom(points.losses);
    const seconds = floatsFrom(points.seconds);
    const accuracies = points.accuracies && floatsFrom(points.accuracies);
    floatsFrom(points.steps).forEach((step, index) => {
      if (step <= (this.#steps.at(-1) ?? 0)) return;
      this.#steps.push(step);
      this.#seconds.push(seconds[index]!);
      this.#values.loss.push(losses[index]!);
      this.#values.accuracy.push((accuracies?.[index] ?? Number.NaN) * 100);
    });
    while (this.#steps.length > maxPoints) this.#thin();
  }

  table(kind: CurveKind, reports: readonly EpochReport[], view: RunView): CurveTable {
    const train = this.#values[kind];
    const smoothTrain = movingMean(train, view.memory);
    const testOf = ({ testLoss, testAccuracy }: EpochReport): number | null => {
      if (kind === 'accuracy') return testAccuracy === null ? null : testAccuracy * 100;
      return isLossFinite(testLoss) ? testLoss : null;
    };
    const stepOf = ({ epoch }: EpochReport) => Math.min(epoch * view.stepsPerEpoch, view.lastStep);
    const test = new Map(thinned(reports).map((report) => [stepOf(report), testOf(report)]));
    const indices = new Map(this.#steps.map((step, index) => [step, index]));
    const steps = [...new Set([...this.#steps, ...test.keys()])].sort((a, b) => a - b);
    return {
      at: steps.map((step) => this.#placeOf(step, view)),
      train: steps.map((step) => train[indices.get(step) ?? -1] ?? null),
      smoothTrain: steps.map((step) => smoothTrain[indices.get(step) ?? -1] ?? null),
      test: steps.map((step) => test.get(step) ?? null),
    };
  }

  /** A value of each step, counted from 0, where there are points. */
  ofSteps(valueAt: (step: number) => number, view: RunView): CurveTable {
    const none = this.#steps.map(() => null);
    return {
      at: this.#steps.map((step) => this.#placeOf(step, view)),
      train: none,
      smoothTrain: this.#steps.map((step) => valueAt(step - 1)),
      test: none,
    };
  }

  /** The last value of the moving mean; undefined where there is no point. */
  newest(kind: CurveKind, memory: number): number | undefined {
    return movingMean(this.#values[kind], memory).at(-1);
  }

  #placeOf(step: number, { axis, stepsPerEpoch }: RunView): number {
    if (axis === 'time') return this.#secondsAt(step);
    return axis === 'epoch' ? step / stepsPerEpoch : step;
  }

  /** Between two points time is taken to pass evenly. */
  #secondsAt(step: number): number {
    const after = firstAtLeast(this.#steps, step);
    if (after === this.#steps.length) return this.#seconds.at(-1) ?? 0;
    const [toStep, toSeconds] = [this.#steps[after]!, this.#seconds[after]!];
    const [fromStep, fromSeconds] = after === 0 ? [0, 0] : [this.#steps[after - 1]!, this.#seconds[after - 1]!];
    return fromSeconds + ((toSeconds - fromSeconds) * (step - fromStep)) / (toStep - fromStep);
  }

  #thin(): void {
    const mean = (first: number, second: number): number => (first + second) / 2;
    this.#values = { loss: mergePairs(this.#values.loss, mean), accuracy: mergePairs(this.#values.accuracy, mean) };
    // A pair stands where its second point stood, so that the newest step stays the newest.
    this.#steps = mergePairs(this.#steps, (_first, second) => second);
    this.#seconds = mergePairs(this.#seconds, (_first, second) => second);
  }
}

/** Of more epochs than points every second one, fourth one and so on, and the newest: those that stand stay where they are. */
function thinned(reports: readonly EpochReport[]): readonly EpochReport[] {
  if (reports.length <= maxPoints) return reports;
  const stride = 2 ** Math.ceil(Math.log2(reports.length / maxPoints));
  return reports.filter((report, index) => report.epoch % stride === 0 || index === reports.length - 1);
}

/** Index of the first of ascending values that is at least `bound`; their number where none is. */
function firstAtLeast(values: readonly number[], bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Half as many values: one for each pair, and the last as it is where the count is odd. */
function mergePairs(values: readonly number[], merge: (first: number, second: number) => number): number[] {
  return Array.from({ length: Math.ceil(values.length / 2) }, (_, pair) => {
    const [first, second] = [values[2 * pair]!, values[2 * pair + 1]];
    return second === undefined ? first : merge(first, second);
  });
}

/** Exponential moving mean with a growing memory, corrected for its start as Adam's moments are. */
function movingMean(values: readonly number[], memory: number): number[] {
  let mean = 0;
  let weight = 0;
  return values.map((value, index) => {
    const decay = 1 - 1 / Math.min(memory, 1 + index * memoryGrowth);
    mean = decay * mean + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return mean / weight;
  });
}
