/** Figures over the steps of a run, in bounded memory: loss, accuracy and throughput. */

import type { StepResult } from '@lockstep/compute';
import type { TargetField } from '@lockstep/data';

/** Loss and accuracy at one point of a run: means over the samples since the previous point. */
export interface CurvePoint {
  /** Steps taken so far. */
  readonly steps: number;
  /** Seconds since training began. */
  readonly seconds: number;
  /** Mean over samples, each with the weights before its step. */
  readonly loss: number;
  /** Fraction of the samples that were classified correctly, or of the next tokens, 0 to 1; null if targets are values. */
  readonly accuracy: number | null;
}

/** @param correct number of correct classes or next tokens in `count` samples @returns null if targets are values */
export function accuracyOf(field: TargetField, correct: number, count: number): number | null {
  switch (field.role) {
    case 'index':
      return correct / count;
    case 'next':
      return correct / (count * field.positions);
    case 'value':
      return null;
    default:
      return field satisfies never;
  }
}

/** Sums over the samples of one or more consecutive steps. */
export interface SampleSums {
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
}

/** `steps` and `seconds` are those from the beginning of the run to the end of the last of the summed steps. */
type StepSums = Pick<CurvePoint, 'steps' | 'seconds'> & SampleSums;

/** A training curve that can be extended. */
export interface CurveState {
  readonly points: readonly StepSums[];
  /** Number of steps per point. */
  readonly stride: number;
  /** The incomplete last point, and its number of steps. */
  readonly partial: StepSums | null;
  readonly partialSteps: number;
}

export const emptyCurve: CurveState = { points: [], stride: 1, partial: null, partialSteps: 0 };
const defaultMaxPoints = 512;

/** A curve that is thinned as it grows: terminal, page, report and checkpoint have the same points. */
export class TrainingCurve {
  readonly #maxPoints: number;
  readonly #targetField: TargetField;
  #state: CurveState & { readonly points: StepSums[] };

  /**
   * @param targetField decides whether points have an accuracy
   * @param state of the steps before a checkpoint, with fewer than `maxPoints` points
   * @param maxPoints even; as soon as there are this many points, neighbors are merged in pairs
   */
  constructor(targetField: TargetField, state = emptyCurve, maxPoints = defaultMaxPoints) {
    this.#targetField = targetField;
    this.#maxPoints = maxPoints;
    this.#state = { ...state, points: [...state.points] };
  }

  /** A copy, for a checkpoint. */
  state(): CurveState {
    return { ...this.#state, points: [...this.#state.points] };
  }

  /** @param seconds since training began */
  add({ step, loss, correct, count }: StepResult, seconds: number): void {
    const { points, stride, partial, partialSteps } = this.#state;
    const sums: StepSums = { steps: step + 1, seconds, lossSum: loss * count, correct, count };
    const grown = partial ? merged(partial, sums) : sums;
    if (partialSteps + 1 < stride) {
      this.#state = { points, stride, partial: grown, partialSteps: partialSteps + 1 };
      return;
    }
    points.push(grown);
    const isFull = points.length === this.#maxPoints;
    const halved = isFull ? { points: mergedInPairs(points), stride: 2 * stride } : { points, stride };
    this.#state = { ...halved, partial: null, partialSteps: 0 };
  }

  /** Points of every step so far; the last point may cover fewer steps than the others. */
  points(): CurvePoint[] {
    const { points, partial } = this.#state;
    return [...points, ...(partial ? [partial] : [])].map((sums) => this.#pointOf(sums));
  }

  /** The complete points that include a step after the first `steps`. */
  pointsAfter(steps: number): CurvePoint[] {
    const { points } = this.#state;
    const known = points.findLastIndex((point) => point.steps <= steps) + 1;
    return points.slice(known).map((sums) => this.#pointOf(sums));
  }

  #pointOf({ steps, seconds, lossSum, correct, count }: StepSums): CurvePoint {
    const accuracy = accuracyOf(this.#targetField, correct, count);
    return { steps, seconds, loss: lossSum / count, accuracy };
  }
}

function mergedInPairs(points: readonly StepSums[]): StepSums[] {
  return Array.from({ length: points.length / 2 }, (_, pair) => merged(points[2 * pair]!, points[2 * pair + 1]!));
}

function merged(first: StepSums, second: StepSums): StepSums {
  return { ...second, ...addSums(first, second) };
}

export function addSums(first: SampleSums, second: SampleSums): SampleSums {
  return {
    lossSum: first.lossSum + second.lossSum,
    correct: first.correct + second.correct,
    count: first.count + second.count,
  };
}

/** At most `most` items, evenly spaced, including the last one. */
export function evenly<T>(list: readonly T[], most: number): readonly T[] {
  const every = Math.ceil(list.length / most);
  return list.filter((_, index) => (list.length - 1 - index) % every === 0);
}

/** Time window of the throughput. */
const windowMs = 3_000;
const markEveryMs = 200;
const marksInWindow = 1 + windowMs / markEveryMs;

/** Samples per second over the last few seconds. */
export class Throughput {
  readonly #nowMs: () => number;
  #samples = 0;
  #addedAtMs: number;
  #marks: { readonly atMs: number; readonly samples: number }[];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#addedAtMs = nowMs();
    this.#marks = [{ atMs: this.#addedAtMs, samples: 0 }];
  }

  add(samples: number): void {
    const atMs = this.#nowMs();
    this.#samples += samples;
    this.#addedAtMs = atMs;
    if (atMs - this.#marks.at(-1)!.atMs >= markEveryMs) this.#marks.push({ atMs, samples: this.#samples });
    // Keeps the list bounded even if `perSecond` is never called.
    if (this.#marks.length > 2 * marksInWindow) this.#marks = this.#marks.slice(-marksInWindow);
  }

  /** 0 if no step was taken within the window. */
  perSecond(): number {
    const atMs = this.#nowMs();
    if (atMs - this.#addedAtMs > windowMs) return 0;
    const first = this.#marks.findLastIndex((mark) => mark.atMs <= atMs - windowMs);
    if (first > 0) this.#marks = this.#marks.slice(first);
    const { atMs: fromMs, samples } = this.#marks[0]!;
    return atMs > fromMs ? ((this.#samples - samples) * 1000) / (atMs - fromMs) : 0;
  }
}

/** Updates an exponential moving average, which starts at its first value. @param rate weight of the newest value */
export function movingAverage(average: number | undefined, value: number, rate: number): number {
  return average === undefined ? value : average + rate * (value - average);
}
