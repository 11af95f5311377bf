import { describe, expect, it } from 'vitest';
import { decode, encode, FrameMemory, framed } from '../src/index.ts';

const chunk = (at: number, length: number) =>
  ({ type: 'chunk', at, bytes: Uint8Array.from({ length }, (_, index) => (at + index) % 251) }) as const;

describe('frame memory', () => {
  it('holds the frames of a vector one behind the other, the same as in memory of their own', () => {
    const memory = new FrameMemory(3 * 8_192, 3);
    const frames = [0, 2_048, 4_096].map((at) => encode(framed(chunk(at, 8_192), memory)));
    const own = [0, 2_048, 4_096].map((at) => encode(framed(chunk(at, 8_192))));
    expect(frames.map((frame) => Buffer.compare(frame, own[frames.indexOf(frame)]!))).toEqual([0, 0, 0]);
    expect(new Set(frames.map(({ buffer }) => buffer)).size).toBe(1);
    for (const [index, { byteOffset }] of frames.entries()) {
      const before = frames[index - 1];
      expect(byteOffset).toBe(before ? before.byteOffset + before.byteLength : byteOffset);
    }
  });

  it('is written again from its beginning once it is reused', () => {
    const memory = new FrameMemory(8_192, 1);
    const first = encode(framed(chunk(0, 8_192), memory));
    memory.reuse();
    const second = encode(framed(chunk(7, 8_192), memory));
    expect(second.buffer).toBe(first.buffer);
    expect(decode(second, 'coordinator')).toMatchObject({ at: 7, bytes: chunk(7, 8_192).bytes });
  });

  it('leaves a frame that does not fit to memory of its own', () => {
    const memory = new FrameMemory(8_192, 1);
    const frames = [1, 2].map((at) => encode(framed(chunk(at, 8_192), memory)));
    expect(frames[0]!.buffer).not.toBe(frames[1]!.buffer);
    for (const at of [1, 2])
      expect(decode(frames[at - 1]!, 'coordinator')).toMatchObject({ at, bytes: chunk(at, 8_192).bytes });
  });
});
