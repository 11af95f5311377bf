/** What each worker spends a step on. */
import type { SpanKind, WatchMessageOf } from '@lockstep/protocol';
import { movingAverage } from '../moving-average.ts';
import type { Exchange, SummedStep } from '../report/step-exchanges.ts';

type TimelineMessage = WatchMessageOf<'timeline'>;
type Span = TimelineMessage['rows'][number]['spans'][number];

/** Moving averages per step. */
export type MeanTimes = Pick<WatchMessageOf<'workers'>['workers'][number], 'computeMs' | 'sendMs' | 'waitMs'>;

/** Bounds of a message: workers, and answers of each. */
const maxWorkers = 64;
const maxAnswers = 8;
const smoothing = 0.1;
/** The averages of a worker are dropped after it took part in none of so many steps. */
const dropAfterSteps = 10_000;

export class StepTimeline {
  /** The last step whose gradient is complete; undefined before the first. */
  last: TimelineMessage | undefined;
  readonly #averages = new Map<string, MeanTimes & { readonly lastStep: number }>();

  add({ step, exchanges, summedAtMs }: SummedStep): void {
    const workers = [...exchanges].slice(0, maxWorkers);
    const fromMs = Math.min(summedAtMs, ...workers.map(([, { askedAtMs }]) => askedAtMs[0]!));
    const rows = workers.map(([workerId, exchange]) => ({ workerId, spans: spansOf(exchange, fromMs, summedAtMs) }));
    this.last = { type: 'timeline', step, durationMs: summedAtMs - fromMs, rows };
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

  averagesOf(workerId: string): MeanTimes {
    const { computeMs = 0, sendMs = 0, waitMs = 0 } = this.#averages.get(workerId) ?? {};
    return { computeMs, sendMs, waitMs };
  }
}

/**
 * Spans from the step's start, in order and without overlap. A worker reports how long it held a shard and how long it
 * computed; the rest of the time from asking to answering is the network's, half for each way, since weights and
 * gradient are of one size. The times that a worker reports are bounded by what the coordinator saw.
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
    // The next shard may be computed while this one's gradient is under way.
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
