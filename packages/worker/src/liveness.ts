/** Heartbeats of a worker, and detection of a silent coordinator. */
import type { Clock, MessageOf, WorkerTransport } from '@lockstep/protocol';

/** Calls back at regular intervals, first after one interval, until it is stopped. */
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

/** Creates a ping. Its byte count shows the coordinator that bytes still arrive, and only the link is slow. */
export function pingOf({ clock, transport: { receivedBytes } }: PingSource): MessageOf<'ping'> {
  return { type: 'ping', sentAtMs: clock.nowMs(), ...(receivedBytes !== undefined && { receivedBytes }) };
}

/** Times that the clock is checked within the longest silence. */
const looks = 8;

/** Detects a silent coordinator: no message arrives, nor more bytes of one. */
export class LivenessTimer {
  /** Longest silence of a live coordinator. */
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
