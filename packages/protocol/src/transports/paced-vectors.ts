/** Lets short messages pass between the chunks of vectors: those wait here while much is buffered on their connection. */
import type { Message } from '../messages.ts';

/**
 * Bytes that may be buffered before vectors wait. More than a connection within one machine takes before it asks for
 * more, so that it never stands still, and less than a second of a link of 10 Mbit/s.
 */
export const pacedBytes = 1024 * 1024;

const vectorTypes: ReadonlySet<Message['type']> = new Set<Message['type']>([
  'numericsCheck',
  'numericsResult',
  'weights',
  'gradient',
  'chunk',
]);

/** A message as it travels. */
interface Parcel<Payload> {
  readonly payload: Payload;
  readonly byteLength: number;
}

export class PacedVectors<Payload> {
  /** Of all that waits. */
  byteLength = 0;
  readonly #isFull: () => boolean;
  readonly #send: (parcel: Parcel<Payload>) => void;
  #waiting: Parcel<Payload>[] = [];

  /** @param isFull whether vectors have to wait @param send hands a message to the connection */
  constructor(isFull: () => boolean, send: (parcel: Parcel<Payload>) => void) {
    this.#isFull = isFull;
    this.#send = send;
  }

  /** Sends a message of this type, or keeps it until the vectors before it are sent. */
  push(type: Message['type'], parcel: Parcel<Payload>): void {
    if (!vectorTypes.has(type) || (this.byteLength === 0 && !this.#isFull())) {
      this.#send(parcel);
      return;
    }
    this.#waiting.push(parcel);
    this.byteLength += parcel.byteLength;
  }

  /** Sends what has waited, as far as it may go; called when less is buffered than before. */
  resume(): void {
    while (this.#waiting.length > 0 && !this.#isFull()) {
      const parcel = this.#waiting.shift()!;
      this.byteLength -= parcel.byteLength;
      this.#send(parcel);
    }
  }

  clear(): void {
    this.#waiting = [];
    this.byteLength = 0;
  }
}
