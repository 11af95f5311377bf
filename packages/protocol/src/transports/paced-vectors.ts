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
export interface Parcel<Payload> {
  readonly payload: Payload;
  readonly byteLength: number;
  /** Called once the connection needs the payload no more, where it tells. */
  readonly sent?: (() => void) | undefined;
}

/** Makes the next parcel of a vector; undefined at its end. */
type ParcelSource<Payload> = () => Parcel<Payload> | undefined;

export class PacedVectors<Payload> {
  /** Of all parcels that wait; those of a source are not made yet. */
  byteLength = 0;
  readonly #isFull: () => boolean;
  readonly #send: (parcel: Parcel<Payload>) => void;
  #waiting: (Parcel<Payload> | ParcelSource<Payload>)[] = [];

  /** @param isFull whether vectors have to wait @param send hands a message to the connection */
  constructor(isFull: () => boolean, send: (parcel: Parcel<Payload>) => void) {
    this.#isFull = isFull;
    this.#send = send;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends a message of this type, or keeps it until the vectors before it are sent. */
  push(type: Message['type'], parcel: Parcel<Payload>): void {
    if (!vectorTypes.has(type) || (!this.isWaiting && !this.#isFull())) {
      this.#send(parcel);
      return;
    }
    this.#waiting.push(parcel);
    this.byteLength += parcel.byteLength;
  }

  /** Sends a vector whose parcels are made when there is room for them, after those that wait. */
  pushSource(source: ParcelSource<Payload>): void {
    this.#waiting.push(source);
    this.resume();
  }

  /** Sends what has waited, as far as it may go; called when less is buffered than before. */
  resume(): void {
    while (this.isWaiting && !this.#isFull()) {
      const first = this.#waiting[0]!;
      if (typeof first !== 'function') {
        this.#waiting.shift();
        this.byteLength -= first.byteLength;
        this.#send(first);
        continue;
      }
      const parcel = first();
      if (parcel) this.#send(parcel);
      else this.#waiting.shift();
    }
  }

  clear(): void {
    this.#waiting = [];
    this.byteLength = 0;
  }
}
