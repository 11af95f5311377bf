/** The training curves: collects points as they arrive and returns them as columns to draw. */
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';
import { isLossFinite } from '../look/format.ts';

export type WatchedEpoch = WatchMessageOf<'epoch'>['report'];
/** Quantities that have a training and a test curve. */
export type CurveKind = 'loss' | 'accuracy';
/** The unit of the horizontal axis: steps, seconds of training, or epochs. */
export type CurveAxis = 'step' | 'time' | 'epoch';

type Column = (number | null)[];

/** Columns of equal length; `null` if a series has no point there. Accuracies are in percent. */
export interface CurveTable {
  /** Positions on the axis, in ascending order. */
  readonly at: number[];
  readonly train: Column;
  readonly smoothTrain: Column;
  readonly test: Column;
  /** Without a value in a run without validation samples. */
  readonly validation: Column;
  /** The value of `test` at the epoch whose weights are kept. */
  readonly kept: Column;
}

/** The curve of one run, to show together with those of other runs. */
export interface RunCurve {
  readonly label: string;
  readonly table: CurveTable;
}

/** How a person wants to see curves. */
export interface CurveView {
  readonly axis: CurveAxis;
  /** Number of points in the moving mean; 1 turns smoothing off. */
  readonly memory: number;
}

interface RunView extends CurveView {
  readonly stepsPerEpoch: number;
  /** The run's last step. An epoch that is cut short ends at this step. */
  readonly lastStep: number;
  /** The epoch whose weights are kept, if the run keeps the best. */
  readonly keptEpoch?: number | undefined;
}

/** About the width of a large screen in pixels. If there are more points, neighbors are merged in pairs. */
const maxPoints = 3_000;
/** Growth of the moving mean's memory per point. The memory starts at 1, so that the initial fall keeps its shape. */
const memoryGrowth = 0.1;

export class RunCurves {
  #steps: number[] = [];
  #seconds: number[] = [];
  #values: Record<CurveKind, number[]> = { loss: [], accuracy: [] };

  get length(): number {
    return this.#steps.length;
  }

  /** Seconds from the start of training to the newest point. */
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

  table(kind: CurveKind, reports: readonly WatchedEpoch[], view: RunView): CurveTable {
    const train = this.#values[kind];
    const smoothTrain = movingMean(train, view.memory);
    const axisValue = (loss: number, accuracy: number | null): number | null => {
      if (kind === 'accuracy') return accuracy === null ? null : accuracy * 100;
      return isLossFinite(loss) ? loss : null;
    };
    const stepOf = ({ epoch }: Pick<WatchedEpoch, 'epoch'>) => Math.min(epoch * view.stepsPerEpoch, view.lastStep);
    const shown = thinned(reports);
    const test = new Map(
      shown.map((report) => [stepOf(report), axisValue(report.testLoss, report.testAccuracy)] as const),
    );
    const validation = new Map(
      shown.flatMap((report) => {
        const { loss, accuracy } = report.validation ?? {};
        return loss === undefined ? [] : [[stepOf(report), axisValue(loss, accuracy ?? null)] as const];
      }),
    );
    const keptStep = view.keptEpoch === undefined ? undefined : stepOf({ epoch: view.keptEpoch });
    const indices = new Map(this.#steps.map((step, index) => [step, index]));
    const steps = [...new Set([...this.#steps, ...test.keys()])].sort((a, b) => a - b);
    return {
      at: steps.map((step) => this.#placeOf(step, view)),
      train: steps.map((step) => train[indices.get(step) ?? -1] ?? null),
      smoothTrain: steps.map((step) => smoothTrain[indices.get(step) ?? -1] ?? null),
      test: steps.map((step) => test.get(step) ?? null),
      validation: steps.map((step) => validation.get(step) ?? null),
      kept: steps.map((step) => (step === keptStep ? (test.get(step) ?? null) : null)),
    };
  }

  /** Returns a curve with one value for each point. `valueAt` takes a step, counted from 0. */
  ofSteps(valueAt: (step: number) => number, view: RunView): CurveTable {
    const none = this.#steps.map(() => null);
    return {
      at: this.#steps.map((step) => this.#placeOf(step, view)),
      train: none,
      smoothTrain: this.#steps.map((step) => valueAt(step - 1)),
      test: none,
      validation: none,
      kept: none,
    };
  }

  /** Returns the last value of the moving mean; undefined if there are no points. */
  newest(kind: CurveKind, memory: number): number | undefined {
    return movingMean(this.#values[kind], memory).at(-1);
  }

  #placeOf(step: number, { axis, stepsPerEpoch }: RunView): number {
    if (axis === 'time') return this.#secondsAt(step);
    return axis === 'epoch' ? step / stepsPerEpoch : step;
  }

  /** Interpolates linearly between points. */
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
    // A merged pair keeps the position of its second point, so that the newest step stays the newest.
    this.#steps = mergePairs(this.#steps, (_first, second) => second);
    this.#seconds = mergePairs(this.#seconds, (_first, second) => second);
  }
}

/** Keeps every 2nd, 4th, 8th … epoch and the newest if there are too many. The kept ones do not move as more arrive. */
function thinned(reports: readonly WatchedEpoch[]): readonly WatchedEpoch[] {
  if (reports.length <= maxPoints) return reports;
  const stride = 2 ** Math.ceil(Math.log2(reports.length / maxPoints));
  return reports.filter((report, index) => report.epoch % stride === 0 || index === reports.length - 1);
}

/** Returns the index of the first of the ascending values that is at least `bound`, or their count if none is. */
function firstAtLeast(values: readonly number[], bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Merges neighbors in pairs. With an odd count, the last value is kept unchanged. */
function mergePairs(values: readonly number[], merge: (first: number, second: number) => number): number[] {
  return Array.from({ length: Math.ceil(values.length / 2) }, (_, pair) => {
    const [first, second] = [values[2 * pair]!, values[2 * pair + 1]];
    return second === undefined ? first : merge(first, second);
  });
}

/** Exponential moving mean with a growing memory, bias-corrected like Adam's moments. */
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

/** Smallest distance of two ticks of an axis. */
export function leastSpan(axis: CurveAxis): number {
  return axis === 'epoch' ? 0.01 : 1;
}

/** Returns the visible end of an axis: near at first, then twice as far whenever the curve reaches it. */
export function axisEnd(
  axis: CurveAxis,
  newest: number,
  { steps, stepsPerEpoch }: Pick<WatchMessageOf<'run'>, 'steps' | 'stepsPerEpoch'> = { steps: 1, stepsPerEpoch: 1 },
): number {
  // Time has no known end: the curve fills the width.
  if (axis === 'time') return Math.max(1, newest);
  const length = axis === 'epoch' ? steps / stepsPerEpoch : steps;
  let end = Math.min(length, 500 * leastSpan(axis));
  while (end < length && end < newest) end = Math.min(length, end * 2);
  return end;
}
