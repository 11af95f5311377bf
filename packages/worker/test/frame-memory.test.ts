/** Long frames through memory: every frame arrives unchanged and in order, or takes the socket; nothing else is read. */
import { existsSync, linkSync, mkdirSync, readdirSync, rmdirSync, symlinkSync, unlinkSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FrameMemory } from '../src/frame-memory.ts';

const folder = '/dev/shm';
const ringBytes = 8 * 1024 * 1024;

/** Both ends of a connection's memory. */
function openBoth() {
  const worker = FrameMemory.create()!;
  const coordinator = FrameMemory.open(worker.name)!;
  worker.isShared = true;
  worker.unlink();
  onTestFinished(() => {
    for (const end of [worker, coordinator]) end.close();
  });
  return { worker, coordinator };
}

function frameOf(length: number, first: number): Uint8Array {
  const frame = new Uint8Array(length);
  for (let at = 0; at < length; at += 4096) frame[at] = first + at / 4096;
  return frame;
}

/** A frame in two parts. */
const inParts = (bulk: Uint8Array, headLength = 0) => ({ head: new Uint8Array(headLength).fill(bulk[0]!), bulk });

const isEqual = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

describe.skipIf(!existsSync(folder))('the memory of frames', () => {
  it('passes frames in both directions, in order, and refuses those for which there is no room', () => {
    const length = fc.integer({ min: 1, max: 3 * 1024 * 1024 });
    const toCoordinator = fc.boolean();
    const actions = fc.array(fc.oneof(fc.record({ toCoordinator, length }), fc.record({ toCoordinator })), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(actions, (list) => {
        const { worker, coordinator } = openBoth();
        const ways = [true, false].map((isUp) => ({
          ...{ from: isUp ? worker : coordinator, to: isUp ? coordinator : worker },
          waiting: [] as {
            readonly frame: Uint8Array;
            readonly head: Uint8Array;
            readonly place: Uint8Array<ArrayBuffer>;
          }[],
          bytes: 0,
        }));
        for (const [index, action] of list.entries()) {
          const way = ways[action.toCoordinator ? 0 : 1]!;
          const waitingBytes = way.waiting.reduce((sum, { frame }) => sum + frame.length, 0);
          if ('length' in action) {
            const frame = frameOf(action.length, index);
            const parts = inParts(frame, action.length % 100);
            const place = way.from.write(parts);
            if (place) way.waiting.push({ ...parts, frame, place });
            // Only the end of the ring is lost, which is shorter than the frame that did not fit there.
            else expect(frame.length < 32 * 1024 || waitingBytes + 2 * frame.length > ringBytes).toBe(true);
          } else {
            const next = way.waiting.shift();
            if (!next) continue;
            expect(way.to.bulkLengthOf(next.place.buffer)).toBe(next.frame.length);
            const { head, bulkLength, read } = way.to.frameAt(next.place.buffer)!;
            expect(isEqual(head, next.head)).toBe(true);
            expect(bulkLength).toBe(next.frame.length);
            // Every other one is read into memory of the caller's, which threads may share.
            const memory = index % 2 === 0 ? new Uint8Array(new SharedArrayBuffer(bulkLength)) : undefined;
            const bulk = read(memory)!;
            if (memory) expect(bulk).toBe(memory);
            expect(isEqual(bulk, next.frame)).toBe(true);
            way.bytes += next.frame.length;
            expect(way.to.receivedBytes).toBe(way.bytes);
          }
        }
        for (const end of [worker, coordinator]) end.close();
      }),
      { numRuns: 30 },
    );
  });

  it('begins the ring again once the peer has read everything, so that few pages of memory are used', () => {
    const { worker, coordinator } = openBoth();
    const frame = frameOf(40_000, 1);
    const endOf = (place: Uint8Array<ArrayBuffer>): number => new DataView(place.buffer).getFloat64(8) % ringBytes;
    const [first, second] = [worker.write(inParts(frame))!, worker.write(inParts(frame))!];
    expect([first, second].map(endOf)).toEqual([40_000, 80_000]);
    for (const { buffer } of [first, second]) coordinator.frameAt(buffer)!.read();
    const third = worker.write(inParts(frame))!;
    expect(endOf(third)).toBe(40_000);
    expect(isEqual(coordinator.frameAt(third.buffer)!.read()!, frame)).toBe(true);
  });

  it('takes nothing before both ends have it, and nothing after its end', () => {
    const worker = FrameMemory.create()!;
    const frame = frameOf(40_000, 1);
    expect(worker.write(inParts(frame))).toBeUndefined();
    worker.isShared = true;
    const place = worker.write(inParts(frame))!;
    worker.unlink();
    worker.close();
    expect(worker.write(inParts(frame))).toBeUndefined();
    expect(worker.frameAt(place.buffer)).toBeUndefined();
  });

  it.each<[what: string, change: (place: DataView) => void]>([
    ['another first byte', (place) => place.setUint8(0, 0x81)],
    ['a short frame', (place) => place.setUint32(4, 100)],
    ['a frame longer than the ring', (place) => place.setUint32(4, ringBytes + 1)],
    ['an end before the frame', (place) => place.setFloat64(8, 10)],
    ['a frame across the end of the ring', (place) => place.setFloat64(8, ringBytes + 1)],
    ['a frame that was never written', (place) => place.setFloat64(8, ringBytes / 2)],
    ['an end that is no number', (place) => place.setFloat64(8, Number.NaN)],
  ])('finds no frame at a place with %s', (_what, change) => {
    const { worker, coordinator } = openBoth();
    const place = worker.write(inParts(frameOf(40_000, 1)))!;
    change(new DataView(place.buffer));
    expect(coordinator.frameAt(place.buffer)?.read()).toBeUndefined();
    expect(coordinator.receivedBytes).toBe(0);
  });

  it('leaves nothing behind', () => {
    const { worker } = openBoth();
    expect(readdirSync(folder)).not.toContain(worker.name);
  });

  it('opens only files of that form, which a name alone leads to', () => {
    const name = `lockstep-${'0'.repeat(32)}`;
    const worker = FrameMemory.create()!;
    const path = `${folder}/${name}`;
    for (const other of [undefined, '', '../etc/passwd', name, `${worker.name}/`, [worker.name]]) {
      expect(FrameMemory.open(other)).toBeUndefined();
    }
    mkdirSync(path);
    expect(FrameMemory.open(name)).toBeUndefined();
    rmdirSync(path);
    symlinkSync(`${folder}/${worker.name}`, path);
    expect(FrameMemory.open(name)).toBeUndefined();
    unlinkSync(path);
    linkSync(`${folder}/${worker.name}`, path);
    FrameMemory.open(name)!.close();
    unlinkSync(path);
    worker.unlink();
    worker.close();
  });
});
