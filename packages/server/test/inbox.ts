/** The messages that a test's socket has received, to be taken by type. */
import type { WebSocket } from 'ws';
import { Changes } from '../../protocol/test/changes.ts';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class Inbox<Message extends { readonly type: string }> {
  /** All messages so far. */
  readonly received: Message[] = [];
  readonly closed: Promise<Closed>;
  readonly #untaken: Message[] = [];
  readonly #changes = new Changes();
  #closed: Closed | undefined;

  constructor(socket: WebSocket, decode: (frame: Buffer) => Message) {
    socket.on('message', (data: Buffer) => {
      const message = decode(data);
      this.received.push(message);
      this.#untaken.push(message);
      this.#changes.noted();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        this.#closed = { code, reason: reason.toString() };
        resolve(this.#closed);
        this.#changes.noted();
      });
    });
  }

  /**
   * The next message of a type that passes `test`, from now on or received and not yet taken. Fails if the socket
   * closes, or if `isOver` says that no such message can arrive any more.
   */
  next<T extends Message['type']>(
    type: T,
    test: (message: Extract<Message, { type: T }>) => boolean = () => true,
    isOver: () => boolean = () => false,
  ): Promise<Extract<Message, { type: T }>> {
    return this.#changes.until<Extract<Message, { type: T }>>(() => {
      const index = this.#untaken.findIndex((message) => message.type === type && test(message as never));
      if (index >= 0) return this.#untaken.splice(index, 1)[0] as never;
      if (this.#closed) throw new Error(`expected ${type}, got closed: ${this.#closed.code} ${this.#closed.reason}`);
      if (!isOver()) return undefined;
      throw new Error(`expected ${type}, but the run has ended: ${JSON.stringify(this.received.at(-1))}`);
    });
  }
}
