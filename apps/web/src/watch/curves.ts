/** The training curves: points as they arrive, thinned where they are many, and as columns to draw. */
import { floatsFrom, type WatchMessageOf } from '@lockstep/protocol';

export type Points = WatchMessageOf<'progress'>['points'];
export type EpochReport = WatchMessageOf<'epoch'>['report'];

/** Columns over one axis of epochs; `null` where a series has no point. */
export interface CurveTable {
  readonly epochs: number[];
  readonly loss: (number | null)[];
  readonly smoothLoss: (number | null)[];
  readonly testLoss: (number | null)[];
  /** In percent. */
  readonly accuracy: (number | null)[];
  readonly smoothAccuracy: (number | null)[];
  readonly testAccuracy: (number | null)[];
}

/** More points than a wide screen has pixels are merged in pairs. */
const maxPoints = 3_000;
/** The smooth line remembers so many points, and fewer where the curve begins, so that its first fall keeps its shape. */
const longestMemory = 40;
const memoryGrowth = 0.1;

export class Curves {
  #steps: number[] = [];
  #losses: number[] = [];
  #accuracies: number[] = [];

  get length(): number {
    return this.#steps.length;
  }

  clear(): void {
    this.#steps = [];
    this.#losses = [];
    this.#accuracies = [];
  }

  /** Appends points; those that are not newer than the last one are known already. */
  add(points: Points): void {
    const [steps, losses, accuracies] = [
      floatsFrom(points.steps),
      floatsFrom(points.losses),
      floatsFrom(points.accuracies),
    ];
    for (let index = 0; index < steps.length; index++) {
      if (steps[index]! <= (this.#steps.at(-1) ?? 0)) continue;
      this.#steps.push(steps[index]!);
      this.#losses.push(losses[index]!);
      this.#accuracies.push(accuracies[index]!);
    }
    while (this.#steps.length > maxPoints) this.#thin();
  }

  table(reports: readonly EpochReport[], stepsPerEpoch: number): CurveTable {
    const smoothLoss = smoothed(this.#losses);
    const smoothAccuracy = smoothed(this.#accuracies);
    const table: CurveTable = {
      epochs: [],
      loss: [],
      smoothLoss: [],
      testLoss: [],
      accuracy: [],
      smoothAccuracy: [],
      testAccuracy: [],
    };
    const tests = reports.map((report) => ({ step: report.epoch * stepsPerEpoch, report }));
    let point = 0;
    let test = 0;
    while (point < this.#steps.length || test < tests.length) {
      const trainStep = this.#steps[point] ?? Number.POSITIVE_INFINITY;
      const testStep = tests[test]?.step ?? Number.POSITIVE_INFINITY;
      const step = Math.min(trainStep, testStep);
      const hasTrain = trainStep === step;
      const report = testStep === step ? tests[test]!.report : undefined;
      table.epochs.push(step / stepsPerEpoch);
      table.loss.push(hasTrain ? this.#losses[point]! : null);
      table.smoothLoss.push(hasTrain ? smoothLoss[point]! : null);
      table.accuracy.push(hasTrain ? this.#accuracies[point]! * 100 : null);
      table.smoothAccuracy.push(hasTrain ? smoothAccuracy[point]! * 100 : null);
      table.testLoss.push(report?.testLoss ?? null);
      table.testAccuracy.push(report ? report.testAccuracy * 100 : null);
      if (hasTrain) point += 1;
      if (report) test += 1;
    }
    return table;
  }

  #thin(): void {
    const half = Math.floor(this.#steps.length / 2);
    const merge = (values: readonly number[]): number[] =>
      Array.from({ length: half }, (_, pair) => (values[2 * pair]! + values[2 * pair + 1]!) / 2);
    const rest = 2 * half;
    this.#losses = [...merge(this.#losses), ...this.#losses.slice(rest)];
    this.#accuracies = [...merge(this.#accuracies), ...this.#accuracies.slice(rest)];
    // A pair stands where its second point stood, so that the newest step stays the newest.
    this.#steps = [
      ...Array.from({ length: half }, (_, pair) => this.#steps[2 * pair + 1]!),
      ...this.#steps.slice(rest),
    ];
  }
}

/** Exponential moving mean with a memory that grows, corrected for its start. */
function smoothed(values: readonly number[]): number[] {
  let mean = 0;
  let weight = 0;
  return values.map((value, index) => {
    const keep = 1 - 1 / Math.min(longestMemory, 1 + index * memoryGrowth);
    mean = keep * mean + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return mean / weight;
  });
}
