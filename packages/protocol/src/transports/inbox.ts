/** What every transport promises about delivery: order, nothing lost before `listen`, one closing at the end. */
import type { Message } from '../messages.ts';
import type { Closing, TransportListener } from '../transport.ts';

export class Inbox<Receives extends Message> {
  readonly #defer: (run: () => void) => void;
  #held: Receives[] = [];
  #listener: TransportListener<Receives> | undefined;
  #closing: Closing | undefined;
  #isDraining = false;
  #isClosingTold = false;

  /** `defer` runs a function soon, never before it returns. */
  constructor(defer: (run: () => void) => void) {
    this.#defer = defer;
  }

  get hasEnded(): boolean {
    return this.#closing !== undefined;
  }

  listen(listener: TransportListener<Receives>): void {
    if (this.#listener !== undefined) throw new Error('transport: expected one listener, got a second one');
    this.#listener = listener;
    if (this.#held.length > 0 || this.#closing !== undefined) this.#defer(() => this.#drain());
  }

  /** Takes a message that has just arrived; after the end it is dropped. */
  deliver(message: Receives): void {
    if (this.#closing !== undefined) return;
    this.#held.push(message);
    this.#drain();
  }

  /** Ends the connection unless it ended before; says whether it did. A local end drops what was not yet delivered. */
  end(closing: Closing): boolean {
    if (this.#closing !== undefined) return false;
    this.#closing = closing;
    if (closing.by === 'local') this.#held = [];
    this.#defer(() => this.#drain());
    return true;
  }

  #drain(): void {
    const listener = this.#listener;
    if (listener === undefined || this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let message = this.#held.shift(); message !== undefined; message = this.#held.shift()) {
        listener.onMessage(message);
      }
      if (this.#closing !== undefined && !this.#isClosingTold) {
        this.#isClosingTold = true;
        listener.onClose(this.#closing);
      }
    } finally {
      this.#isDraining = false;
    }
  }
}
