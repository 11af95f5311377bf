/**
 * Long frames between processes of one machine: their bulk passes through a file in memory, and the socket carries only
 * its place and the rest. A copy into the file and one out of it take a tenth of the time that a loopback connection
 * takes.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { FrameParts, SharedFrame, SharedFrames } from '@lockstep/protocol';

/** Header of the upgrade request that names the worker's file; in the response, it says that the file is in use. */
export const frameMemoryHeader = 'lockstep-frame-memory';

/** Linux keeps files of this folder in memory; other systems have no such folder, and use the socket alone. */
const folder = '/dev/shm';
/** The name is a secret: who can name the file of a user's process may use it. */
const namePattern = /^lockstep-[0-9a-f]{32}$/;

/** Most bytes of frames on their way in one direction; further frames take the socket, as short ones do. */
const ringBytes = 8 * 1024 * 1024;
/** Through the socket, shorter frames are as fast. */
const leastBulkBytes = 32 * 1024;
/** Bytes at the start of the file for each direction's count of bytes that were read. */
const countBytes = 8;

/** First byte of a place. No frame begins with it: msgpack does not use it. */
const placeByte = 0xc1;
/** Place of a bulk: `placeByte`, then length (u32) and end (float64), the bytes written so far. The head follows it. */
const placeBytes = 16;

/** One direction of the file, where frames follow one another in a ring. */
interface Ring {
  /** Position of the count of bytes that were read. */
  readonly countAt: number;
  /** Position of the first byte of frames. */
  readonly at: number;
}

const rings: readonly [fromWorker: Ring, toWorker: Ring] = [
  { countAt: 0, at: 2 * countBytes },
  { countAt: countBytes, at: 2 * countBytes + ringBytes },
];

export class FrameMemory implements SharedFrames {
  /** The file's name in the folder. */
  readonly name: string;
  readonly #file: number;
  readonly #outgoing: Ring;
  readonly #incoming: Ring;
  /** Bytes of bulk, and of the gaps at the end of the ring, that were written and that the peer has read. */
  #written = 0;
  #readByPeer = 0;
  /** Whether both ends have the file open: nothing is written before. */
  isShared: boolean;
  #isClosed = false;
  /** Bytes that passed through the memory. */
  sentBytes = 0;
  receivedBytes = 0;

  private constructor(name: string, file: number, isWorker: boolean) {
    this.name = name;
    this.#file = file;
    [this.#outgoing, this.#incoming] = isWorker ? rings : [rings[1], rings[0]];
    this.isShared = !isWorker;
  }

  /** Creates the file of a worker's connection; undefined if this system has none. */
  static create(): FrameMemory | undefined {
    const name = `lockstep-${randomBytes(16).toString('hex')}`;
    try {
      const { O_CREAT, O_EXCL, O_RDWR } = constants;
      return new FrameMemory(name, openSync(join(folder, name), O_CREAT | O_EXCL | O_RDWR, 0o600), true);
    } catch {
      return undefined;
    }
  }

  /** Opens the file that a worker names, at the coordinator; undefined unless it is this user's, on this machine. */
  static open(name: string | string[] | undefined): FrameMemory | undefined {
    if (typeof name !== 'string' || !namePattern.test(name)) return undefined;
    let file: number;
    try {
      file = openSync(join(folder, name), constants.O_RDWR | constants.O_NOFOLLOW);
    } catch {
      return undefined;
    }
    const memory = new FrameMemory(name, file, false);
    const stat = fstatSync(file);
    if (stat.isFile() && stat.uid === process.getuid?.()) return memory;
    memory.close();
    return undefined;
  }

  /** Removes the file's name, at the worker once the coordinator has answered; both go on with the open file. */
  unlink(): void {
    try {
      unlinkSync(join(folder, this.name));
    } catch {
      // It has no name any more.
    }
  }

  write({ head, bulk }: FrameParts): Uint8Array<ArrayBuffer> | undefined {
    const { length } = bulk;
    if (length < leastBulkBytes || length > ringBytes || !this.isShared || this.#isClosed) return undefined;
    this.#readByPeer = Math.max(this.#readByPeer, this.#count(this.#outgoing));
    // An empty ring begins again, where the processor's cache may still have its bytes.
    if (this.#readByPeer === this.#written) this.#readByPeer = this.#written = roundUp(this.#written);
    // A bulk never wraps around.
    const begin = (this.#written % ringBytes) + length <= ringBytes ? this.#written : roundUp(this.#written);
    const end = begin + length;
    if (!(end - this.#readByPeer <= ringBytes)) return undefined;
    if (!writeAll(this.#file, bulk, this.#outgoing.at + (begin % ringBytes))) return undefined;
    this.#written = end;
    this.sentBytes += length;
    const sent = new Uint8Array(placeBytes + head.length);
    const place = new DataView(sent.buffer);
    place.setUint8(0, placeByte);
    place.setUint32(4, length);
    place.setFloat64(8, end);
    sent.set(head, placeBytes);
    return sent;
  }

  /** Length of the bulk whose place has arrived; undefined if the data begin with no place. */
  bulkLengthOf(data: ArrayBuffer): number | undefined {
    if (data.byteLength < placeBytes) return undefined;
    const place = new DataView(data);
    return place.getUint8(0) === placeByte ? place.getUint32(4) : undefined;
  }

  frameAt(data: ArrayBuffer): SharedFrame | undefined {
    const bulkLength = this.bulkLengthOf(data) ?? 0;
    if (bulkLength < leastBulkBytes || bulkLength > ringBytes || this.#isClosed) return undefined;
    const end = new DataView(data).getFloat64(8);
    const begin = (end - bulkLength) % ringBytes;
    if (!Number.isSafeInteger(end) || end < bulkLength || begin + bulkLength > ringBytes) return undefined;
    return {
      head: new Uint8Array(data, placeBytes),
      bulkLength,
      read: (memory = new Uint8Array(bulkLength)) => this.#read(begin, end, memory),
    };
  }

  /** Copies bulk before anything of it is checked, so that the peer cannot change it afterwards. */
  #read(begin: number, end: number, memory: Uint8Array): Uint8Array | undefined {
    const { length } = memory;
    if (readSync(this.#file, memory, 0, length, this.#incoming.at + begin) < length) return undefined;
    writeAll(this.#file, Float64Array.of(end), this.#incoming.countAt);
    this.receivedBytes += length;
    return memory;
  }

  close(): void {
    if (!this.#isClosed) closeSync(this.#file);
    this.#isClosed = true;
  }

  /** Bytes that have been read in a direction; 0 before the first frame. */
  #count({ countAt }: Ring): number {
    const count = new Float64Array(1);
    readSync(this.#file, count, 0, countBytes, countAt);
    return count[0]!;
  }
}

/** The next position at which a ring begins. */
const roundUp = (position: number): number => Math.ceil(position / ringBytes) * ringBytes;

/** @returns false if the memory is full */
function writeAll(file: number, bytes: NodeJS.ArrayBufferView, position: number): boolean {
  try {
    return writeSync(file, bytes, 0, bytes.byteLength, position) === bytes.byteLength;
  } catch {
    return false;
  }
}
