/** Answers workers where there is no run that they could join. */

import type { CoordinatorTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import { helloFault } from './joining.ts';

const helloTimeoutMs = 5_000;
/** How long a worker waits at the least before it asks again. */
const leastWaitMs = 2_000;
/** However many they are, fewer of them ask in a second than may open a socket. */
const apartMs = 40;

export class WaitingWorkers {
  readonly #clock: Clock;
  readonly #token: string | undefined;
  /** When the last of them asks again. */
  #lastAtMs = 0;

  /** @param token what joining needs */
  constructor(clock: Clock, token: string | undefined) {
    this.#clock = clock;
    this.#token = token;
  }

  /**
   * Tells a worker that says the token why it must wait; it comes back by itself.
   * @param message for the person behind it
   */
  turnAway(transport: CoordinatorTransport, message: string): void {
    const cancel = this.#clock.after(helloTimeoutMs, () => transport.close(1008, 'expected hello, got none'));
    transport.listen({
      onMessage: (hello) => {
        if (hello.type !== 'hello') {
          transport.close(1002, `expected hello, got ${hello.type}`);
          return;
        }
        const refusal = helloFault(hello, this.#token) ?? {
          type: 'refuse',
          code: 'waiting',
          message,
          retryAfterMs: this.#nextWaitMs(),
        };
        transport.send(refusal);
        transport.close(1008, refusal.message);
      },
      onClose: cancel,
    });
  }

  #nextWaitMs(): number {
    const nowMs = this.#clock.nowMs();
    this.#lastAtMs = Math.max(nowMs + leastWaitMs, this.#lastAtMs + apartMs);
    return Math.ceil(this.#lastAtMs - nowMs);
  }
}
