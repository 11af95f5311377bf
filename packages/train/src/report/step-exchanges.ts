/** Gathers what passes between the coordinator and its workers, step by step. */
import type { Trace } from '@lockstep/training';

type Answer = Extract<Trace, { type: 'answered' }>;

/** One worker's part of a step; at most `maxEntries` of either list. */
export interface Exchange {
  readonly askedAtMs: number[];
  readonly answers: Answer[];
}

/** A step whose gradient is complete. */
export interface SummedStep {
  readonly step: number;
  /** By worker, in the order in which they were asked. */
  readonly exchanges: ReadonlyMap<string, Exchange>;
  readonly summedAtMs: number;
}

/** Bounds the memory that a worker takes which answers again and again. */
const maxEntries = 64;

export class StepExchanges {
  #step = -1;
  #exchanges = new Map<string, Exchange>();

  /** Returns the step where this trace is the last one of it. */
  trace(trace: Trace): SummedStep | undefined {
    if (trace.type === 'asked') {
      if (trace.step !== this.#step) {
        this.#step = trace.step;
        this.#exchanges = new Map();
      }
      const exchange = this.#exchanges.get(trace.workerId) ?? { askedAtMs: [], answers: [] };
      if (exchange.askedAtMs.length < maxEntries) exchange.askedAtMs.push(trace.atMs);
      this.#exchanges.set(trace.workerId, exchange);
      return undefined;
    }
    if (trace.step !== this.#step) return undefined;
    if (trace.type === 'whole') return { step: trace.step, exchanges: this.#exchanges, summedAtMs: trace.atMs };
    const answers = this.#exchanges.get(trace.workerId)?.answers;
    if (answers && answers.length < maxEntries) answers.push(trace);
    return undefined;
  }
}
