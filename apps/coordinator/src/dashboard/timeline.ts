/** What each worker spent a step on, from what passed between it and the coordinator. */
import type { SpanKind, WatchMessageOf } from '@lockstep/protocol';
import type { Trace } from '@lockstep/training';

export type StepPicture = Omit<WatchMessageOf<'timeline'>, 'type'>;
type Span = StepPicture['rows'][number]['spans'][number];

/** Recent means per step, in milliseconds. */
export interface Means {
  readonly computeMs: number;
  readonly sendMs: number;
  readonly waitMs: number;
}

export interface Timeline {
  trace(trace: Trace): void;
  /** The last step that is over. */
  last(): StepPicture | undefined;
  means(workerId: string): Means;
}

type Answered = Extract<Trace, { type: 'answered' }>;

interface Part {
  readonly askedAtMs: number[];
  readonly answers: Answered[];
}

const mostRows = 64;
const mostAnswers = 8;
const smoothing = 0.1;
/** Whoever took part in none of so many steps is forgotten. */
const forgottenAfter = 10_000;
const noMeans: Means = { computeMs: 0, sendMs: 0, waitMs: 0 };

export function createTimeline(): Timeline {
  let step = -1;
  let parts = new Map<string, Part>();
  let finished: { step: number; fromMs: number; toMs: number; parts: ReadonlyMap<string, Part> } | undefined;
  const means = new Map<string, Means & { readonly step: number }>();

  const partOf = (workerId: string): Part | undefined => {
    const known = parts.get(workerId);
    if (known || parts.size >= mostRows) return known;
    const part: Part = { askedAtMs: [], answers: [] };
    parts.set(workerId, part);
    return part;
  };

  const finish = (toMs: number): void => {
    const fromMs = Math.min(toMs, ...[...parts.values()].flatMap(({ askedAtMs }) => askedAtMs.slice(0, 1)));
    finished = { step, fromMs, toMs, parts };
    for (const [workerId, part] of parts) {
      const now = totals(spansOf(part, fromMs, toMs));
      const before = means.get(workerId) ?? now;
      const mean = (key: keyof Means): number => before[key] + smoothing * (now[key] - before[key]);
      means.set(workerId, { step, computeMs: mean('computeMs'), sendMs: mean('sendMs'), waitMs: mean('waitMs') });
    }
    if (step % forgottenAfter !== 0) return;
    for (const [workerId, mean] of means) if (step - mean.step > forgottenAfter) means.delete(workerId);
  };

  return {
    trace(trace) {
      switch (trace.type) {
        case 'asked': {
          if (trace.step !== step) {
            step = trace.step;
            parts = new Map();
          }
          const asked = partOf(trace.workerId)?.askedAtMs;
          if (asked && asked.length < mostAnswers) asked.push(trace.atMs);
          return;
        }
        case 'answered': {
          const answers = trace.step === step ? parts.get(trace.workerId)?.answers : undefined;
          if (answers && answers.length < mostAnswers) answers.push(trace);
          return;
        }
        case 'whole':
          if (trace.step === step) finish(trace.atMs);
          return;
        default:
          trace satisfies never;
      }
    },
    last() {
      if (!finished) return undefined;
      const { fromMs, toMs, step: done } = finished;
      const rows = [...finished.parts].map(([workerId, part]) => ({ workerId, spans: spansOf(part, fromMs, toMs) }));
      return { step: done, durationMs: toMs - fromMs, rows };
    },
    means: (workerId) => means.get(workerId) ?? noMeans,
  };
}

/**
 * Spans from the step's start, in order, none over another. A worker says for how long it held a shard and for how long
 * it computed; the rest of the time from asking to answering is the network's, half for each way, since weights and
 * gradient are of one size. What it says is kept within what the coordinator saw.
 */
function spansOf({ askedAtMs, answers }: Part, startMs: number, endMs: number): Span[] {
  const spans: Span[] = [];
  let cursor = startMs;
  const until = (atMs: number, kind: SpanKind): void => {
    const toMs = Math.min(endMs, Math.max(cursor, atMs));
    if (toMs > cursor) spans.push({ kind, fromMs: cursor - startMs, toMs: toMs - startMs });
    cursor = toMs;
  };

  for (const [index, { atMs, computeMs, turnaroundMs = computeMs }] of answers.entries()) {
    const asked = askedAtMs.findLast((at) => at <= Math.max(askedAtMs[0] ?? startMs, atMs - turnaroundMs)) ?? startMs;
    const held = Math.min(turnaroundMs, atMs - asked);
    const sentAtMs = atMs - (atMs - asked - held) / 2;
    const receivedAtMs = sentAtMs - held;
    if (index === 0 || asked > cursor) {
      until(asked, 'wait');
      until(receivedAtMs, 'receive');
    }
    until(sentAtMs - Math.min(computeMs, held), 'wait');
    until(sentAtMs, 'compute');
    // The next shard may be computed while this one's gradient is under way.
    const next = answers[index + 1];
    until(next ? Math.min(atMs, next.atMs - next.computeMs) : atMs, 'send');
  }
  if (answers.length === 0 && askedAtMs[0] !== undefined) until(askedAtMs[0], 'wait');
  until(endMs, 'wait');
  return spans;
}

function totals(spans: readonly Span[]): Means {
  const sums = { receive: 0, compute: 0, send: 0, wait: 0 };
  for (const { kind, fromMs, toMs } of spans) sums[kind] += toMs - fromMs;
  return { computeMs: sums.compute, sendMs: sums.receive + sums.send, waitMs: sums.wait };
}
