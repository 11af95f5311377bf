/** The messages that a test's socket has received, to be taken by type. */
import type { WebSocket } from 'ws';

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class Inbox<Message extends { readonly type: string }> {
  /** All messages so far. */
  readonly received: Message[] = [];
  readonly closed: Promise<Closed>;
  readonly #untaken: Message[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(socket: WebSocket, decode: (frame: Buffer) => Message) {
    socket.on('message', (data: Buffer) => {
      const message = decode(data);
      this.received.push(message);
      this.#untaken.push(message);
      for (const check of [...this.#waiting]) check();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }));
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
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const index = this.#untaken.findIndex((message) => message.type === type && test(message as never));
        if (index < 0 && !isOver()) return;
        this.#waiting.delete(check);
        if (index >= 0) resolve(this.#untaken.splice(index, 1)[0] as never);
        else reject(new Error(`expected ${type}, but the run has ended: ${JSON.stringify(this.received.at(-1))}`));
      };
      this.#waiting.add(check);
      check();
      void this.closed.then(({ code, reason }) => reject(new Error(`expected ${type}, got closed: ${code} ${reason}`)));
    });
  }
}
