/** Answers workers while there is no run that they could join. */

import type { Clock, CoordinatorTransport } from '@lockstep/protocol';
import { defaultLimits, helloFault } from '@lockstep/rules';

/** Minimum time that a worker waits before it asks again. */
const leastWaitMs = 2_000;
/** Spacing of the workers' next attempts, which keeps their rate below the limit of new sockets a second. */
const apartMs = 40;

export class WaitingWorkers {
  readonly #clock: Clock;
  readonly #token: string | undefined;
  /** Time at which the last of them asks again. */
  #lastAtMs = 0;

  /** @param token required to join, unless undefined */
  constructor(clock: Clock, token: string | undefined) {
    this.#clock = clock;
    this.#token = token;
  }

  /**
   * Tells a worker that knows the token why it must wait; the worker reconnects by itself.
   * @param message shown to the worker's owner
   */
  turnAway(transport: CoordinatorTransport, message: string): void {
    const cancel = this.#clock.after(defaultLimits.handshakeMs, () =>
      transport.close(1008, 'expected hello, got none'),
    );
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
