/** The training curves as viewers see them: a bounded number of points, however long the run. */
import { bytesOf } from '@lockstep/protocol';
import type { StepResult } from '@lockstep/training';

/** Points as they travel: float32 lists of equal length. */
export interface PointBytes {
  readonly steps: Uint8Array;
  readonly losses: Uint8Array;
  readonly accuracies: Uint8Array;
}

export interface Curves {
  add(result: StepResult): void;
  /** Smoothed over recent steps; undefined before the first. */
  readonly loss: number | undefined;
  readonly accuracy: number | undefined;
  /** Every point so far. */
  all(): PointBytes;
  /** Points since the last call. */
  takeNew(): PointBytes;
}

interface Point {
  readonly step: number;
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
}

/** When there are so many points, each two of them become one. */
const mostPoints = 2_000;
const smoothing = 0.05;

export function createCurves(): Curves {
  let points: Point[] = [];
  let fresh: Point[] = [];
  /** Steps that one point stands for. */
  let stride = 1;
  let open: Point | undefined;
  let openSteps = 0;
  let loss: number | undefined;
  let accuracy: number | undefined;

  const close = (point: Point): void => {
    points.push(point);
    fresh.push(point);
    // Nobody may ever take them.
    if (fresh.length > mostPoints) fresh = pairs(fresh);
    if (points.length < mostPoints) return;
    points = pairs(points);
    stride *= 2;
  };

  return {
    add(result) {
      const part = result.correct / result.count;
      loss = loss === undefined ? result.loss : loss + smoothing * (result.loss - loss);
      accuracy = accuracy === undefined ? part : accuracy + smoothing * (part - accuracy);
      const { count, correct } = result;
      const own: Point = { step: result.step + 1, lossSum: result.loss * count, correct, count };
      open = open === undefined ? own : joined(open, own);
      openSteps += 1;
      if (openSteps < stride) return;
      close(open);
      open = undefined;
      openSteps = 0;
    },
    get loss() {
      return loss;
    },
    get accuracy() {
      return accuracy;
    },
    all: () => bytesOfPoints(points),
    takeNew() {
      const taken = fresh;
      fresh = [];
      return bytesOfPoints(taken);
    },
  };
}

function joined(first: Point, second: Point): Point {
  return {
    step: second.step,
    lossSum: first.lossSum + second.lossSum,
    correct: first.correct + second.correct,
    count: first.count + second.count,
  };
}

function pairs(points: readonly Point[]): Point[] {
  const halved: Point[] = [];
  for (let index = 0; index + 1 < points.length; index += 2) halved.push(joined(points[index]!, points[index + 1]!));
  if (points.length % 2 === 1) halved.push(points.at(-1)!);
  return halved;
}

function bytesOfPoints(points: readonly Point[]): PointBytes {
  const list = (value: (point: Point) => number): Uint8Array => bytesOf(Float32Array.from(points, value));
  return {
    steps: list(({ step }) => step),
    losses: list(({ lossSum, count }) => lossSum / count),
    accuracies: list(({ correct, count }) => correct / count),
  };
}
