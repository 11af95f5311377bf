/** Delivers what one end of a transport receives: in order, none lost before `listen`, one closing at the end. */
import { decode } from '../codec.ts';
import type { Message, Side } from '../messages.ts';
import { ProtocolError } from '../protocol-error.ts';
import type { Closing, TransportListener } from '../transport.ts';

export class Inbox<Receives extends Message> {
  readonly #defer: (run: () => void) => void;
  #undelivered: Receives[] = [];
  #listener: TransportListener<Receives> | undefined;
  #closing: Closing | undefined;
  #isDraining = false;
  #isClosingDelivered = false;

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
    if (this.#undelivered.length > 0 || this.#closing !== undefined) this.#defer(() => this.#drain());
  }

  /** Takes a message that has just arrived; after the end it is dropped. */
  deliver(message: Receives): void {
    if (this.#closing !== undefined) return;
    this.#undelivered.push(message);
    this.#drain();
  }

  /** As `deliver` for a frame that `from` has sent; calls `close` where it is no message that `from` may send. */
  deliverFrame(frame: Uint8Array, from: Side, close: (code: number, reason: string) => void): void {
    if (this.#closing !== undefined) return;
    let message: Message;
    try {
      message = decode(frame, from);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      close(error.closeCode, error.message);
      return;
    }
    this.deliver(message as Receives);
  }

  /** Ends the connection; false where it had ended before. A local end drops what is not delivered yet. */
  end(closing: Closing): boolean {
    if (this.#closing !== undefined) return false;
    this.#closing = closing;
    if (closing.by === 'local') this.#undelivered = [];
    this.#defer(() => this.#drain());
    return true;
  }

  #drain(): void {
    const listener = this.#listener;
    if (listener === undefined || this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let message = this.#undelivered.shift(); message !== undefined; message = this.#undelivered.shift()) {
        listener.onMessage(message);
      }
      if (this.#closing !== undefined && !this.#isClosingDelivered) {
        this.#isClosingDelivered = true;
        listener.onClose(this.#closing);
      }
    } finally {
      this.#isDraining = false;
    }
  }
}
