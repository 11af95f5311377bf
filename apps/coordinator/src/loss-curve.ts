/** Loss and accuracy over the time of a run, in a bounded number of points however long it is. */
import type { CurvePoint } from '@lockstep/train';
import type { StepResult } from '@lockstep/training';

export interface LossCurve {
  /** @param seconds since the run began to train */
  add(result: StepResult, seconds: number): void;
  points(): readonly CurvePoint[];
}

interface Sum {
  readonly steps: number;
  readonly seconds: number;
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
}

/** When there are so many points, each two of them become one. */
const mostPoints = 512;

export function createLossCurve(): LossCurve {
  let points: Sum[] = [];
  /** Steps that one point stands for. */
  let stride = 1;
  let open: Sum | undefined;
  let openSteps = 0;

  const close = (point: Sum): void => {
    points.push(point);
    open = undefined;
    openSteps = 0;
    if (points.length < mostPoints) return;
    points = Array.from({ length: points.length / 2 }, (_, pair) => joined(points[2 * pair]!, points[2 * pair + 1]!));
    stride *= 2;
  };

  return {
    add({ step, loss, correct, count }, seconds) {
      const own: Sum = { steps: step + 1, seconds, lossSum: loss * count, correct, count };
      open = open === undefined ? own : joined(open, own);
      openSteps += 1;
      if (openSteps === stride) close(open);
    },
    points: () =>
      (open === undefined ? points : [...points, open]).map(({ steps, seconds, lossSum, correct, count }) => ({
        steps,
        seconds,
        loss: lossSum / count,
        accuracy: correct / count,
      })),
  };
}

function joined(first: Sum, second: Sum): Sum {
  return {
    steps: second.steps,
    seconds: second.seconds,
    lossSum: first.lossSum + second.lossSum,
    correct: first.correct + second.correct,
    count: first.count + second.count,
  };
}
