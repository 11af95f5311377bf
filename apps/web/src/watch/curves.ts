/** The training curves: collects points as they arrive and returns them as columns to draw. */
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';

export type EpochReport = WatchMessageOf<'epoch'>['report'];
export type CurveKind = 'loss' | 'accuracy';

export type Column = (number | null)[];

/** Columns over one axis of epochs; `null` where a series has no point. Accuracies are in percent. */
export interface CurveTable {
  readonly epochs: number[];
  readonly train: Column;
  readonly smoothTrain: Column;
  readonly test: Column;
}

/** About the width of a large screen in pixels; more points than this are merged in pairs. */
const maxPoints = 3_000;
/** Memory of the moving mean, in points. It grows from 1 at the start, so that the first fall keeps its shape. */
const maxMemory = 40;
const memoryGrowth = 0.1;

export class Curves {
  #steps: number[] = [];
  #values: Record<CurveKind, number[]> = { loss: [], accuracy: [] };

  get length(): number {
    return this.#steps.length;
  }

  clear(): void {
    this.#steps = [];
    this.#values = { loss: [], accuracy: [] };
  }

  add(points: WatchMessageOf<'progress'>['points']): void {
    const losses = floatsFrom(points.losses);
    const accuracies = points.accuracies && floatsFrom(points.accuracies);
    floatsFrom(points.steps).forEach((step, index) => {
      if (step <= (this.#steps.at(-1) ?? 0)) return;
      this.#steps.push(step);
      this.#values.loss.push(losses[index]!);
      this.#values.accuracy.push((accuracies?.[index] ?? Number.NaN) * 100);
    });
    while (this.#steps.length > maxPoints) this.#thin();
  }

  table(kind: CurveKind, reports: readonly EpochReport[], stepsPerEpoch: number): CurveTable {
    const train = this.#values[kind];
    const smoothTrain = movingMean(train);
    const testOf = (report: EpochReport) =>
      kind === 'loss' ? report.testLoss : (report.testAccuracy ?? Number.NaN) * 100;
    const test = new Map(reports.map((report) => [report.epoch * stepsPerEpoch, testOf(report)]));
    const indices = new Map(this.#steps.map((step, index) => [step, index]));
    const steps = [...new Set([...this.#steps, ...test.keys()])].sort((a, b) => a - b);
    return {
      epochs: steps.map((step) => step / stepsPerEpoch),
      train: steps.map((step) => train[indices.get(step) ?? -1] ?? null),
      smoothTrain: steps.map((step) => smoothTrain[indices.get(step) ?? -1] ?? null),
      test: steps.map((step) => test.get(step) ?? null),
    };
  }

  #thin(): void {
    const mean = (first: number, second: number): number => (first + second) / 2;
    this.#values = { loss: mergePairs(this.#values.loss, mean), accuracy: mergePairs(this.#values.accuracy, mean) };
    // A pair stands where its second point stood, so that the newest step stays the newest.
    this.#steps = mergePairs(this.#steps, (_first, second) => second);
  }
}

/** Half as many values: one for each pair, and the last as it is where the count is odd. */
function mergePairs(values: readonly number[], merge: (first: number, second: number) => number): number[] {
  return Array.from({ length: Math.ceil(values.length / 2) }, (_, pair) => {
    const [first, second] = [values[2 * pair]!, values[2 * pair + 1]];
    return second === undefined ? first : merge(first, second);
  });
}

/** Exponential moving mean with a growing memory, corrected for its start as Adam's moments are. */
function movingMean(values: readonly number[]): number[] {
  let mean = 0;
  let weight = 0;
  return values.map((value, index) => {
    const decay = 1 - 1 / Math.min(maxMemory, 1 + index * memoryGrowth);
    mean = decay * mean + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return mean / weight;
  });
}
