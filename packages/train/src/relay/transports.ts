/** Tracks the connections of a relay's workers, to close them all when the run goes on without the relay. */
import type { CoordinatorTransport } from '@lockstep/protocol';

export class Transports {
  readonly #open = new Set<CoordinatorTransport>();

  /** Returns an equivalent transport that is tracked until it closes. */
  watch(transport: CoordinatorTransport): CoordinatorTransport {
    this.#open.add(transport);
    return {
      remote: transport.remote,
      get bufferedBytes() {
        return transport.bufferedBytes;
      },
      get receivedBytes() {
        return transport.receivedBytes;
      },
      get sentBytes() {
        return transport.sentBytes;
      },
      listen: (listener) =>
        transport.listen({
          onMessage: (message) => listener.onMessage(message),
          onClose: (closing) => {
            this.#open.delete(transport);
            listener.onClose(closing);
          },
        }),
      send: (message) => transport.send(message),
      sendVector: (stream) => transport.sendVector(stream),
      close: (code, reason) => transport.close(code, reason),
    };
  }

  closeAll(reason: string): void {
    for (const transport of this.#open) transport.close(1001, reason);
    this.#open.clear();
  }
}
