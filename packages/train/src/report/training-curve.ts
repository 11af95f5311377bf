/** Loss and accuracy over the steps of a run, in a bounded number of points however long it is. */
import type { TargetType } from '@lockstep/nn';
import type { StepResult } from '@lockstep/training';
import type { CurveState, StepSums } from '../checkpoint/progress.ts';
import type { CurvePoint } from './report.ts';

export class TrainingCurve {
  readonly #maxPoints: number;
  readonly #targetType: TargetType;
  #points: StepSums[] = [];
  #stride = 1;
  #partial: StepSums | undefined;
  #partialSteps = 0;
  /** Steps that `takeNew` has returned. */
  #takenSteps = 0;

  /**
   * @param maxPoints even; when there are so many points, each two neighbors become one
   * @param state of the steps before a checkpoint; with fewer points than `maxPoints`
   * @param targetType which decides whether points have an accuracy
   */
  constructor(maxPoints: number, state?: CurveState, targetType: TargetType = 'classes') {
    this.#targetType = targetType;
    this.#maxPoints = maxPoints;
    if (!state) return;
    this.#points = [...state.points];
    this.#stride = state.stride;
    this.#partial = state.partial ?? undefined;
    this.#partialSteps = state.partialSteps;
  }

  /** A copy, for a checkpoint. */
  state(): CurveState {
    const [stride, partialSteps] = [this.#stride, this.#partialSteps];
    return { points: [...this.#points], stride, partial: this.#partial ?? null, partialSteps };
  }

  /** @param seconds since the run began to train */
  add({ step, loss, correct, count }: StepResult, seconds: number): void {
    const sums: StepSums = { steps: step + 1, seconds, lossSum: loss * count, correct, count };
    this.#partial = this.#partial === undefined ? sums : merged(this.#partial, sums);
    this.#partialSteps += 1;
    if (this.#partialSteps < this.#stride) return;
    this.#points.push(this.#partial);
    this.#partial = undefined;
    this.#partialSteps = 0;
    if (this.#points.length === this.#maxPoints) this.#halve();
  }

  /** Every step so far; the last point may have fewer steps than the others. */
  points(): CurvePoint[] {
    const points = this.#partial === undefined ? this.#points : [...this.#points, this.#partial];
    return points.map((sums) => this.#pointOf(sums));
  }

  /** The points since the last call that have all of their steps. */
  takeNew(): CurvePoint[] {
    const known = this.#points.findLastIndex(({ steps }) => steps <= this.#takenSteps) + 1;
    this.#takenSteps = this.#points.at(-1)?.steps ?? 0;
    return this.#points.slice(known).map((sums) => this.#pointOf(sums));
  }

  #pointOf({ steps, seconds, lossSum, correct, count }: StepSums): CurvePoint {
    const accuracy = this.#targetType === 'classes' ? correct / count : null;
    return { steps, seconds, loss: lossSum / count, accuracy };
  }

  #halve(): void {
    const points = this.#points;
    this.#points = Array.from({ length: points.length / 2 }, (_, i) => merged(points[2 * i]!, points[2 * i + 1]!));
    this.#stride *= 2;
  }
}

function merged(first: StepSums, second: StepSums): StepSums {
  return {
    ...second,
    lossSum: first.lossSum + second.lossSum,
    correct: first.correct + second.correct,
    count: first.count + second.count,
  };
}
