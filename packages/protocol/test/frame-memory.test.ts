import { describe, expect, it } from 'vitest';
import { decode, encode, FrameMemory, framed } from '../src/index.ts';

const chunk = (at: number, length: number) =>
  ({ type: 'chunk', at, bytes: Uint8Array.from({ length }, (_, index) => (at + index) % 251) }) as const;

describe('frame memory', () => {
  it('holds the same frame as memory of its own, however long the bytes are', () => {
    for (const length of [0, 4, 8_188, 8_192]) {
      const memory = new FrameMemory(8_192);
      const own = encode(framed(chunk(2_048, length)));
      expect(Buffer.compare(encode(framed(chunk(2_048, length), memory)), own)).toBe(0);
    }
  });

  it('holds the next frame in place of the one before', () => {
    const memory = new FrameMemory(8_192);
    const first = encode(framed(chunk(0, 8_192), memory));
    const second = encode(framed(chunk(7, 8_192), memory));
    expect(second.buffer).toBe(first.buffer);
    expect(decode(second, 'coordinator')).toMatchObject({ at: 7, bytes: chunk(7, 8_192).bytes });
  });

  it('leaves a frame that does not fit to memory of its own', () => {
    const memory = new FrameMemory(8_192);
    const frames = [1, 2].map((at) => encode(framed(chunk(at, 3 * 8_192), memory)));
    expect(frames[0]!.buffer).not.toBe(frames[1]!.buffer);
    for (const at of [1, 2])
      expect(decode(frames[at - 1]!, 'coordinator')).toMatchObject({ at, bytes: chunk(at, 3 * 8_192).bytes });
  });
});
