/** Where the time of a step goes, in the median over the last steps. */
import type { StepTimes } from './report.ts';
import type { Exchange, SummedStep } from './step-exchanges.ts';

type Sample = Omit<StepTimes, 'steps'>;

/** Older steps are overwritten, so that memory stays bounded in a long run. */
const maxSteps = 4_096;

/**
 * A step runs from the end of the step before it to its own end. Its parts follow the mean worker: asked, holding the
 * shard, answering; then the last answer is waited for, the sum is completed and the optimizer's step is taken. So the
 * parts follow one another and add up to the step.
 */
export class StepTimesRecorder {
  readonly #samples: Sample[] = [];
  #added = 0;
  #summed: SummedStep | undefined;
  #beganAtMs: number | undefined;

  /** The gradient of a step is complete. */
  summed(step: SummedStep): void {
    this.#summed = step;
  }

  /** The optimizer has taken that step. */
  stepped(atMs: number): void {
    if (this.#beganAtMs !== undefined && this.#summed !== undefined) {
      const sample = sampleOf(this.#summed, this.#beganAtMs, atMs);
      if (sample) this.#samples[this.#added++ % maxSteps] = sample;
    }
    this.#beganAtMs = atMs;
    this.#summed = undefined;
  }

  /** Undefined before the second step. */
  times(): StepTimes | undefined {
    if (this.#samples.length === 0) return undefined;
    const medianOf = (part: keyof Sample): number => median(this.#samples.map((sample) => sample[part]));
    return {
      steps: this.#samples.length,
      stepMs: medianOf('stepMs'),
      packMs: medianOf('packMs'),
      sendMs: medianOf('sendMs'),
      computeMs: medianOf('computeMs'),
      waitMs: medianOf('waitMs'),
      reduceMs: medianOf('reduceMs'),
      optimizerMs: medianOf('optimizerMs'),
    };
  }
}

function sampleOf({ exchanges, summedAtMs }: SummedStep, beganAtMs: number, endedAtMs: number): Sample | undefined {
  const workers = [...exchanges.values()].filter(({ answers }) => answers.length > 0).map(workerTimes);
  if (workers.length === 0) return undefined;
  const mean = (part: keyof ReturnType<typeof workerTimes>): number =>
    workers.reduce((sum, worker) => sum + worker[part], 0) / workers.length;
  const askedAtMs = mean('askedAtMs');
  const arrivedAtMs = mean('arrivedAtMs');
  const computeMs = mean('computeMs');
  const turnaroundMs = mean('turnaroundMs');
  const lastArrivedAtMs = Math.max(...workers.map((worker) => worker.arrivedAtMs));
  return {
    stepMs: endedAtMs - beganAtMs,
    packMs: askedAtMs - beganAtMs + turnaroundMs - computeMs,
    sendMs: arrivedAtMs - askedAtMs - turnaroundMs,
    computeMs,
    waitMs: lastArrivedAtMs - arrivedAtMs,
    reduceMs: summedAtMs - lastArrivedAtMs,
    optimizerMs: endedAtMs - summedAtMs,
  };
}

/** From the first ask to the last answer; what the worker reports is bounded by that time. */
function workerTimes({ askedAtMs: asked, answers }: Exchange) {
  const askedAtMs = asked[0]!;
  const { arrivedAtMs } = answers.at(-1)!;
  const roundTripMs = arrivedAtMs - askedAtMs;
  const computeMs = answers.reduce((sum, answer) => sum + answer.computeMs, 0);
  // A worker with several shards has held the last one since it had all of them.
  const turnaroundMs = Math.max(computeMs, ...answers.map((answer) => answer.turnaroundMs ?? 0));
  return {
    askedAtMs,
    arrivedAtMs,
    computeMs: Math.min(computeMs, roundTripMs),
    turnaroundMs: Math.min(turnaroundMs, roundTripMs),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
