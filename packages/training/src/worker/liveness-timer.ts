/** Notices a coordinator that has fallen silent: neither a message comes, nor more bytes of one. */
import type { WorkerTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';

/** The clock is looked at so many times within the longest silence. */
const looks = 8;

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
