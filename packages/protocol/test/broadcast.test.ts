/** One vector to many connections: each gets the bytes of its step, whenever it has room, in little memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type OutgoingVector, VectorBroadcast } from '../src/broadcast.ts';
import { bytesOf } from '../src/bytes.ts';
import { encode, FramePool } from '../src/codec.ts';
import type { CoordinatorMessage } from '../src/messages.ts';

const chunkBytes = 4_096;
const chunkValues = chunkBytes / 4;
const mostKeptFrames = 8;

/** Counts the frames in use, and overwrites those given back. */
class CountingPool extends FramePool {
  readonly #taken = new Set<ArrayBufferLike>();

  get inUse(): number {
    return this.#taken.size;
  }

  override take(bytes: number): ArrayBuffer {
    const memory = super.take(bytes);
    this.#taken.add(memory);
    return memory;
  }

  override give(frame: Uint8Array): void {
    this.#taken.delete(frame.buffer);
    new Uint8Array(frame.buffer).fill(0xee);
    super.give(frame);
  }
}

/** A simulated connection: the test decides when it has room and when a frame has left. */
class Connection {
  readonly step: number;
  readonly vector: OutgoingVector;
  readonly inFlight: CoordinatorMessage[] = [];
  /** Contents of the frames at the time they left. */
  readonly left: Uint8Array[] = [];
  isClosed = false;

  constructor(step: number, vector: OutgoingVector) {
    this.step = step;
    this.vector = vector;
  }

  /** @returns false at the vector's end */
  pull(): boolean {
    const message = this.isClosed ? undefined : this.vector.next();
    if (message) this.inFlight.push(message);
    return message !== undefined;
  }

  /** Marks the oldest frame as having left. */
  sent(): void {
    const message = this.inFlight.shift();
    if (!message) return;
    this.left.push(encode(message).slice());
    this.vector.sent!(message);
  }

  close(): void {
    this.isClosed = true;
    this.vector.drop();
  }
}

/** A run that sends the weights of many steps and changes them in place. */
class Sender {
  readonly weights: Float32Array;
  readonly pool = new CountingPool();
  readonly connections: Connection[] = [];
  step = 0;
  broadcast: VectorBroadcast;

  constructor(length: number) {
    this.weights = weightsOf(length, 0);
    this.broadcast = this.#begin();
  }

  connect(): void {
    this.connections.push(new Connection(this.step, this.broadcast.stream()));
  }

  change(): void {
    this.broadcast.keepRest();
    this.step += 1;
    this.weights.set(weightsOf(this.weights.length, this.step));
    this.broadcast = this.#begin();
  }

  #begin(): VectorBroadcast {
    const { length } = this.weights;
    const bytes = (): Uint8Array => bytesOf(this.weights);
    return new VectorBroadcast({
      ...{ length, bytes, chunkBytes, pool: this.pool },
      messageOf: (part, at) => ({ type: 'chunk', at, bytes: part }),
    });
  }
}

function weightsOf(length: number, step: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => 1_000 * step + (index % 997));
}

/** Frames that a connection must have been sent. */
function framesOf(length: number, step: number): Uint8Array[] {
  const all = weightsOf(length, step);
  return Array.from({ length: Math.max(1, Math.ceil(length / chunkValues)) }, (_, index) => {
    const at = index * chunkValues;
    return encode({ type: 'chunk', at, bytes: bytesOf(all.subarray(at, at + chunkValues)) });
  });
}

const action = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ type: 'connect', which: 0 } as const) },
  { weight: 1, arbitrary: fc.constant({ type: 'change', which: 0 } as const) },
  {
    weight: 20,
    arbitrary: fc.record({
      type: fc.constantFrom('pull', 'pull', 'pull', 'sent', 'sent', 'close'),
      which: fc.nat({ max: 7 }),
    }),
  },
);

describe('a vector to many connections', () => {
  it('is the same to each, in order, whichever has room and whenever the vector changes, and in little memory', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 * chunkValues }),
        fc.array(action, { minLength: 20, maxLength: 300 }),
        (length, actions) => {
          const sender = new Sender(length);
          const { connections, pool } = sender;
          const check = (): void => {
            const inFlight = connections.reduce((sum, connection) => sum + connection.inFlight.length, 0);
            expect(pool.inUse).toBeLessThanOrEqual(mostKeptFrames + inFlight);
          };
          for (const { type, which } of actions) {
            const connection = connections.at(-1 - (which % Math.max(1, connections.length)));
            if (type === 'connect') sender.connect();
            else if (type === 'change') sender.change();
            else if (type !== 'close' || which === 0) connection?.[type]();
            check();
          }
          sender.change();
          for (const connection of connections) {
            do {
              while (connection.inFlight.length > 0) connection.sent();
            } while (connection.pull());
            const expected = framesOf(length, connection.step);
            const { left, isClosed } = connection;
            // Compared as buffers: a matcher would compare millions of bytes one by one.
            expect(left.length).toBeLessThanOrEqual(expected.length);
            if (!isClosed) expect(left).toHaveLength(expected.length);
            expect(left.findIndex((frame, index) => Buffer.compare(frame, expected[index]!) !== 0)).toBe(-1);
          }
          expect(pool.inUse).toBe(0);
        },
      ),
    );
  });

  it('is framed once for connections that are at the same chunk', () => {
    const sender = new Sender(5 * chunkValues);
    for (let count = 0; count < 3; count++) sender.connect();
    const [first, ...others] = sender.connections;
    for (let chunk = 0; chunk < 5; chunk++) for (const connection of sender.connections) connection.pull();
    for (const { inFlight } of others) expect(inFlight).toEqual(first!.inFlight);
    expect(sender.pool.inUse).toBe(5);
  });

  it('is not copied if each connection has been sent all of it', () => {
    const sender = new Sender(3 * chunkValues);
    sender.connect();
    while (sender.connections[0]!.pull());
    expect(sender.broadcast.isOpen).toBe(false);
    sender.connect();
    expect(sender.broadcast.isOpen).toBe(true);
    sender.connections[1]!.close();
    expect(sender.broadcast.isOpen).toBe(false);
  });

  it('keeps no frame of a vector that has changed for those that are behind', () => {
    const sender = new Sender(5 * chunkValues);
    sender.connect();
    sender.change();
    const connection = sender.connections[0]!;
    for (let chunk = 0; chunk < 3; chunk++) connection.pull();
    expect(sender.pool.inUse).toBe(3);
    while (connection.inFlight.length > 0) connection.sent();
    expect(sender.pool.inUse).toBe(0);
  });

  it('uses the memory of its frames again in the next step', () => {
    const sender = new Sender(4 * chunkValues);
    const memory = [0, 1, 2].map(() => {
      sender.connect();
      const connection = sender.connections.at(-1)!;
      while (connection.pull());
      const buffers = connection.inFlight.map((message) => encode(message).buffer);
      while (connection.inFlight.length > 0) connection.sent();
      sender.change();
      return buffers;
    });
    expect(new Set(memory.flat()).size).toBe(4);
  });
});
