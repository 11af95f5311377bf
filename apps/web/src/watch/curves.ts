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

/** The training values of a step. Without an accuracy, it is NaN. */
interface CurvePoint extends Readonly<Record<CurveKind, number>> {
  readonly step: number;
  /** Seconds since the start of training. */
  readonly seconds: number;
}

export class RunCurves {
  #points: CurvePoint[] = [];

  get length(): number {
    return this.#points.length;
  }

  /** Seconds from the start of training to the newest point. */
  get seconds(): number | undefined {
    return this.#points.at(-1)?.seconds;
  }

  clear(): void {
    this.#points = [];
  }

  add(points: WatchMessageOf<'progress'>['points']): void {
    const losses = floatsFrom(points.losses);
    const seconds = floatsFrom(points.seconds);
    const accuracies = points.accuracies && floatsFrom(points.accuracies);
    floatsFrom(points.steps).forEach((step, index) => {
      if (step <= (this.#points.at(-1)?.step ?? 0)) return;
      const accuracy = (accuracies?.[index] ?? Number.NaN) * 100;
      this.#points.push({ step, seconds: seconds[index]!, loss: losses[index]!, accuracy });
    });
    while (this.length > maxPoints) this.#points = mergedPairs(this.#points);
  }

  table(kind: CurveKind, reports: readonly WatchedEpoch[], view: RunView): CurveTable {
    const smoothed = movingMean(this.#points, kind, view.memory);
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
    const train = new Map(this.#points.map((point) => [point.step, point[kind]]));
    const smoothTrain = new Map(this.#points.map(({ step }, index) => [step, smoothed[index]!]));
    const steps = [...new Set([...train.keys(), ...test.keys()])].sort((a, b) => a - b);
    return {
      at: steps.map((step) => this.#placeOf(step, view)),
      train: steps.map((step) => train.get(step) ?? null),
      smoothTrain: steps.map((step) => smoothTrain.get(step) ?? null),
      test: steps.map((step) => test.get(step) ?? null),
      validation: steps.map((step) => validation.get(step) ?? null),
      kept: steps.map((step) => (step === keptStep ? (test.get(step) ?? null) : null)),
    };
  }

  /** Returns a curve with one value for each point. `valueAt` takes a step, counted from 0. */
  ofSteps(valueAt: (step: number) => number, view: RunView): CurveTable {
    const none = this.#points.map(() => null);
    return {
      at: this.#points.map(({ step }) => this.#placeOf(step, view)),
      train: none,
      smoothTrain: this.#points.map(({ step }) => valueAt(step - 1)),
      test: none,
      validation: none,
      kept: none,
    };
  }

  /** Returns the last value of the moving mean; undefined if there are no points. */
  newest(kind: CurveKind, memory: number): number | undefined {
    return movingMean(this.#points, kind, memory).at(-1);
  }

  #placeOf(step: number, { axis, stepsPerEpoch }: RunView): number {
    if (axis === 'time') return this.#secondsAt(step);
    return axis === 'epoch' ? step / stepsPerEpoch : step;
  }

  /** Interpolates linearly between points. */
  #secondsAt(step: number): number {
    const after = firstAtLeast(this.#points, step);
    const to = this.#points[after];
    if (!to) return this.seconds ?? 0;
    const from = this.#points[after - 1] ?? { step: 0, seconds: 0 };
    return from.seconds + ((to.seconds - from.seconds) * (step - from.step)) / (to.step - from.step);
  }
}

/** Keeps every 2nd, 4th, 8th … epoch and the newest if there are too many. The kept ones do not move as more arrive. */
function thinned(reports: readonly WatchedEpoch[]): readonly WatchedEpoch[] {
  if (reports.length <= maxPoints) return reports;
  const stride = 2 ** Math.ceil(Math.log2(reports.length / maxPoints));
  return reports.filter((report, index) => report.epoch % stride === 0 || index === reports.length - 1);
}

/** Returns the index of the first point at or after a step, or the number of points if there is none. */
function firstAtLeast(points: readonly CurvePoint[], step: number): number {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]!.step < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Merges neighbors in pairs. With an odd count, the last point is kept unchanged. */
function mergedPairs(points: readonly CurvePoint[]): CurvePoint[] {
  return Array.from({ length: Math.ceil(points.length / 2) }, (_, pair) => {
    const [first, second] = [points[2 * pair]!, points[2 * pair + 1]];
    if (!second) return first;
    // A merged pair keeps the position of its second point, so that the newest step stays the newest.
    return { ...second, loss: (first.loss + second.loss) / 2, accuracy: (first.accuracy + second.accuracy) / 2 };
  });
}

/** Exponential moving mean with a growing memory, bias-corrected like Adam's moments. */
function movingMean(points: readonly CurvePoint[], kind: CurveKind, memory: number): number[] {
  let mean = 0;
  let weight = 0;
  return points.map((point, index) => {
    const decay = 1 - 1 / Math.min(memory, 1 + index * memoryGrowth);
    mean = decay * mean + (1 - decay) * point[kind];
    weight = decay * weight + (1 - decay);
    return mean / weight;
  });
}

/** An earlier run with losses this many times higher than the current run's highest would squeeze its curve. */
const mostTimesHigher = 10;

/** Whether an earlier run's losses are too high for a chart of the current run's. */
export function isOffScale(earlier: CurveTable, current: CurveTable): boolean {
  const highest = (...columns: readonly Column[]): number => Math.max(...columns.flat().map((value) => value ?? 0));
  const own = highest(current.smoothTrain, current.test);
  return own > 0 && highest(earlier.smoothTrain) > mostTimesHigher * own;
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
