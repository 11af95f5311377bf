/** Signs of life between a worker and its coordinator: those that the worker sends, and those that it waits for. */
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

/** The clock is looked at so many times within the longest silence. */
const looks = 8;

/** Notices a coordinator that has fallen silent: neither a message comes, nor more bytes of one. */
export class LivenessTimer {
  /** The longest silence of a coordinator that is alive. */
  patienceMs: number;
  readonly #clock: Clock;
  readonly #transport: Pick<WorkerTransport, 'receivedBytes'>;
  readonly #onSilence: (patienceMs: number) => void;
  #arrivalAtMs: number;
  #arrivedBytes = 0;
  #cancel = (): void => {};

  constructor(
    clock: Clock,
    transport: Pick<WorkerTransport, 'receivedBytes'>,
    patienceMs: number,
    onSilence: (patienceMs: number) => void,
  ) {
    this.#clock = clock;
    this.#transport = transport;
    this.patienceMs = patienceMs;
    this.#onSilence = onSilence;
    this.#arrivalAtMs = clock.nowMs();
    this.#schedule();
  }

  restart(): void {
    this.#arrivalAtMs = this.#clock.nowMs();
  }

  stop(): void {
    this.#cancel();
  }

  #schedule(): void {
    this.#cancel = this.#clock.after(this.patienceMs / looks, () => {
      const receivedBytes = this.#transport.receivedBytes ?? 0;
      if (receivedBytes > this.#arrivedBytes) this.restart();
      this.#arrivedBytes = receivedBytes;
      if (this.#clock.nowMs() - this.#arrivalAtMs > this.patienceMs) this.#onSilence(this.patienceMs);
      else this.#schedule();
    });
  }
}
