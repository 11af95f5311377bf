/** Traces tasks and results between the coordinator and its workers; the rules do not depend on it. */
import type { Clock, MessageOf } from '@lockstep/protocol';
import type { ConnectionId } from '@lockstep/rules';

export type Trace =
  /** A worker was sent the last message that it needs to begin a shard of the step. */
  | { readonly type: 'asked'; readonly workerId: string; readonly step: number; readonly atMs: number }
  /** A valid gradient arrived, wanted or not. */
  | {
      readonly type: 'answered';
      readonly workerId: string;
      readonly step: number;
      /** Time at which its last frame had been decoded. */
      readonly arrivedAtMs: number;
      /** Time at which the gradient had been received and checked. */
      readonly atMs: number;
      readonly count: number;
      /** Reported by the worker, like `turnaroundMs`. */
      readonly computeMs: number;
      readonly turnaroundMs: number | undefined;
    }
  /** The step's sum is complete; its optimizer step follows. */
  | { readonly type: 'whole'; readonly step: number; readonly atMs: number };

export interface TracerOptions {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly onTrace?: (trace: Trace) => void;
}

/** Reports traces if `onTrace` is given. */
export class Tracer {
  readonly #options: TracerOptions;
  readonly #workerOf: (connection: ConnectionId) => string;

  constructor(options: TracerOptions, workerOf: (connection: ConnectionId) => string) {
    this.#options = options;
    this.#workerOf = workerOf;
  }

  asked(connection: ConnectionId, step: number): void {
    const { onTrace, clock } = this.#options;
    onTrace?.({ type: 'asked', workerId: this.#workerOf(connection), step, atMs: clock.nowMs() });
  }

  answered(
    connection: ConnectionId,
    {
      step,
      count,
      computeMs,
      turnaroundMs,
    }: Pick<MessageOf<'gradient'>, 'step' | 'count' | 'computeMs' | 'turnaroundMs'>,
    arrivedAtMs: number,
  ): void {
    const { onTrace, clock } = this.#options;
    const workerId = this.#workerOf(connection);
    const atMs = clock.nowMs();
    onTrace?.({ type: 'answered', workerId, step, arrivedAtMs, atMs, count, computeMs, turnaroundMs });
  }

  whole(step: number): void {
    const { onTrace, clock } = this.#options;
    onTrace?.({ type: 'whole', step, atMs: clock.nowMs() });
  }
}
