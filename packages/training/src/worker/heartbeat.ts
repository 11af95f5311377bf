/** A worker's signs of life: what it sends, and when. */
import type { MessageOf, WorkerTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';

/** Calls at regular intervals, from the first interval's end until it is stopped. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #beat: () => void;
  #cancel = (): void => {};

  constructor(clock: Clock, everyMs: number, beat: () => void) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#beat = beat;
    this.#schedule();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(this.#everyMs, () => {
      this.#schedule();
      this.#beat();
    });
  }
}

interface PingSource {
  readonly clock: Clock;
  readonly transport: Pick<WorkerTransport, 'receivedBytes'>;
}

/** How many bytes have arrived tells that it is the link that takes its time. */
export function pingOf({ clock, transport: { receivedBytes } }: PingSource): MessageOf<'ping'> {
  return { type: 'ping', sentAtMs: clock.nowMs(), ...(receivedBytes !== undefined && { receivedBytes }) };
}
