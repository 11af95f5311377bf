/** Answers workers where there is no run that they could join. */
import type { CoordinatorTransport } from '@lockstep/protocol';
import { helloFault } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';

const helloTimeoutMs = 5_000;
/** How long a worker waits before it asks again. */
const retryAfterMs = 2_000;

/**
 * Tells a worker that says the token why it must wait; it comes back by itself.
 * @param token what joining needs
 * @param message for the person behind it
 */
export function turnAway(transport: CoordinatorTransport, token: string | undefined, message: string): void {
  const cancel = systemClock.after(helloTimeoutMs, () => transport.close(1008, 'expected hello, got none'));
  transport.listen({
    onMessage(hello) {
      if (hello.type !== 'hello') {
        transport.close(1002, `expected hello, got ${hello.type}`);
        return;
      }
      const refusal = helloFault(hello, token) ?? { type: 'refuse', code: 'waiting', message, retryAfterMs };
      transport.send(refusal);
      transport.close(1008, refusal.message);
    },
    onClose: cancel,
  });
}
