/** Times of a run's steps: each worker's work in the last one, and the parts of the median step. */

import type { Trace } from '@lockstep/coordinator';
import type { SpanKind, WatchMessageOf } from '@lockstep/protocol';
import { movingAverage } from './curve.ts';

/**
 * Parts of a step's time: medians over a run's last steps, in milliseconds.
 * The parts follow one another: weights are framed and handed over, sent, and answered by a gradient; the last answer
 * is awaited, the sum is completed, and the optimizer takes its step. With several workers, the first three are means
 * over them.
 */
export interface StepTimes {
  /** Steps that were measured. */
  readonly steps: number;
  /** From the end of one step to the end of the next. */
  readonly stepMs: number;
  /** Framing and writing the weights here, and handing over and checksums at the worker. */
  readonly packMs: number;
  /**
   * Transfer in both directions, including unpacking; also gathering the next batch if no worker computes meanwhile.
   */
  readonly sendMs: number;
  readonly computeMs: number;
  /** From the mean worker's answer to the last one's. */
  readonly waitMs: number;
  /** From the last answer to the complete sum: checking and adding the answer. */
  readonly reduceMs: number;
  readonly optimizerMs: number;
}

type Answer = Extract<Trace, { type: 'answered' }>;
type Timeline = WatchMessageOf<'timeline'>;
type Span = Timeline['rows'][number]['spans'][number];
const parts = ['stepMs', 'packMs', 'sendMs', 'computeMs', 'waitMs', 'reduceMs', 'optimizerMs'] as const;
type Sample = Pick<StepTimes, (typeof parts)[number]>;

/** Moving averages of a worker's times per step. */
export type MeanTimes = Pick<WatchMessageOf<'workers'>['workers'][number], 'computeMs' | 'sendMs' | 'waitMs'>;

/** Messages between the coordinator and one worker in a step. */
interface Exchange {
  readonly askedAtMs: number[];
  readonly answers: Answer[];
}

/** A step whose gradient is complete. */
interface SummedStep {
  readonly step: number;
  /** By worker, in the order of the requests. */
  readonly exchanges: ReadonlyMap<string, Exchange>;
  readonly summedAtMs: number;
}

/** Bounds the memory of a worker that answers repeatedly. */
const maxEntries = 64;
/** Older steps are overwritten, to bound memory in a long run. */
const maxSteps = 4_096;
/** Limits of the timeline's message: workers, and answers per worker. */
const maxWorkers = 64;
const maxAnswers = 8;
const smoothing = 0.1;
/** A worker's averages are dropped after it took part in none of this many steps. */
const dropAfterSteps = 10_000;

export class StepTiming {
  /** Whether anybody may look at the timeline; a run without viewers saves the time. */
  isWatched = false;
  /** The last step whose gradient is complete, while the run is watched; undefined before the first. */
  timeline: Timeline | undefined;
  #step = -1;
  #exchanges = new Map<string, Exchange>();
  #summed: SummedStep | undefined;
  #beganAtMs: number | undefined;
  readonly #samples: Sample[] = [];
  #sampled = 0;
  readonly #averages = new Map<string, MeanTimes & { readonly lastStep: number }>();

  trace(trace: Trace): void {
    if (trace.type === 'asked') this.#asked(trace.workerId, trace.step, trace.atMs);
    else if (trace.step !== this.#step) return;
    else if (trace.type === 'answered') {
      const answers = this.#exchanges.get(trace.workerId)?.answers;
      if (answers && answers.length < maxEntries) answers.push(trace);
    } else {
      this.#summed = { step: trace.step, exchanges: this.#exchanges, summedAtMs: trace.atMs };
      if (this.isWatched) this.#draw(this.#summed);
    }
  }

  /** Records that the optimizer has taken the step whose gradient was completed last. */
  stepped(atMs: number): void {
    if (this.#beganAtMs !== undefined && this.#summed !== undefined) {
      const sample = sampleOf(this.#summed, this.#beganAtMs, atMs);
      if (sample) this.#samples[this.#sampled++ % maxSteps] = sample;
    }
    this.#beganAtMs = atMs;
    this.#summed = undefined;
  }

  /**
   * Undefined before the second step.
   *
   * A step runs from the end of the previous step to its own end. Its parts follow the mean worker, which gets a
   * request, holds the shard and answers; then come the last answer, the sum and the optimizer. So the parts add up to
   * the step.
   */
  times(): StepTimes | undefined {
    if (this.#samples.length === 0) return undefined;
    const medians = parts.map((part) => [part, median(this.#samples.map((sample) => sample[part]))]);
    return { steps: this.#samples.length, ...(Object.fromEntries(medians) as Sample) };
  }

  averagesOf(workerId: string): MeanTimes {
    const { computeMs = 0, sendMs = 0, waitMs = 0 } = this.#averages.get(workerId) ?? {};
    return { computeMs, sendMs, waitMs };
  }

  #asked(workerId: string, step: number, atMs: number): void {
    if (step !== this.#step) {
      this.#step = step;
      this.#exchanges = new Map();
    }
    const exchange = this.#exchanges.get(workerId) ?? { askedAtMs: [], answers: [] };
    if (exchange.askedAtMs.length < maxEntries) exchange.askedAtMs.push(atMs);
    this.#exchanges.set(workerId, exchange);
  }

  #draw({ step, exchanges, summedAtMs }: SummedStep): void {
    const workers = [...exchanges].slice(0, maxWorkers);
    const fromMs = Math.min(summedAtMs, ...workers.map(([, { askedAtMs }]) => askedAtMs[0]!));
    const rows = workers.map(([workerId, exchange]) => ({ workerId, spans: spansOf(exchange, fromMs, summedAtMs) }));
    this.timeline = { type: 'timeline', step, durationMs: summedAtMs - fromMs, rows };
    for (const { workerId, spans } of rows) {
      const times = timesOf(spans);
      const before = this.#averages.get(workerId);
      const average = (part: keyof MeanTimes): number => movingAverage(before?.[part], times[part], smoothing);
      const averages = { computeMs: average('computeMs'), sendMs: average('sendMs'), waitMs: average('waitMs') };
      this.#averages.set(workerId, { lastStep: step, ...averages });
    }
    if (step % dropAfterSteps !== 0) return;
    for (const [workerId, { lastStep }] of this.#averages) {
      if (step - lastStep > dropAfterSteps) this.#averages.delete(workerId);
    }
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

/** Times from the first request to the last answer, which bound the times that the worker reports. */
function workerTimes({ askedAtMs: asked, answers }: Exchange) {
  const askedAtMs = asked[0]!;
  const { arrivedAtMs } = answers.at(-1)!;
  const roundTripMs = arrivedAtMs - askedAtMs;
  const computeMs = answers.reduce((sum, answer) => sum + answer.computeMs, 0);
  // A worker with several shards has held the last one since it received all of them.
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

/**
 * Spans from the step's start, in order and without overlap. A worker reports how long it held a shard and how long it
 * computed. The rest of the time between request and answer is attributed to the network, half to each direction, since
 * weights and gradient have the same size. The coordinator's own observations bound the times that a worker reports.
 */
function spansOf({ askedAtMs, answers: all }: Exchange, startMs: number, endMs: number): Span[] {
  const answers = all.slice(0, maxAnswers);
  const spans: Span[] = [];
  let cursor = startMs;
  const until = (atMs: number, kind: SpanKind): void => {
    const toMs = Math.min(endMs, Math.max(cursor, atMs));
    if (toMs > cursor) spans.push({ kind, fromMs: cursor - startMs, toMs: toMs - startMs });
    cursor = toMs;
  };

  for (const [index, { atMs, computeMs, turnaroundMs = computeMs }] of answers.entries()) {
    const asked = askedAtMs.findLast((at) => at <= Math.max(askedAtMs[0]!, atMs - turnaroundMs))!;
    const heldMs = Math.min(turnaroundMs, atMs - asked);
    const sentAtMs = atMs - (atMs - asked - heldMs) / 2;
    if (index === 0 || asked > cursor) {
      until(asked, 'wait');
      until(sentAtMs - heldMs, 'receive');
    }
    until(sentAtMs - Math.min(computeMs, heldMs), 'wait');
    until(sentAtMs, 'compute');
    // The next shard may be computed while this one's gradient is being sent.
    const next = answers[index + 1];
    until(next ? Math.min(atMs, next.atMs - next.computeMs) : atMs, 'send');
  }
  until(endMs, 'wait');
  return spans;
}

function timesOf(spans: readonly Span[]): MeanTimes {
  const sums = { receive: 0, compute: 0, send: 0, wait: 0 };
  for (const { kind, fromMs, toMs } of spans) sums[kind] += toMs - fromMs;
  return { computeMs: sums.compute, sendMs: sums.receive + sums.send, waitMs: sums.wait };
}
