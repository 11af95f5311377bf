import { checksumOf, encodeSparse } from '@lockstep/protocol';
import type { CodecKernels, HostBackend } from '@lockstep/tensor';
import { afterAll, describe, expect, it } from 'vitest';
import { checksumBy } from '../src/vector-memory.ts';
import { everyHostBackend } from './support.ts';

const backends = await everyHostBackend();
const withCodec = backends.filter((backend): backend is HostBackend & { codec: CodecKernels } => 'codec' in backend);

afterAll(async () => {
  for (const backend of backends) await backend.close?.();
});

/** Lengths around a value, a block of 128 bytes or of 64 values, a word of the bitmap, and a copied chunk of 64 KiB. */
const valueCounts = [0, 1, 3, 31, 32, 33, 63, 64, 65, 1000, 2048, 2049, 16_383, 16_384, 16_385, 50_000];

/** Returns values with three in four blocks of zeros, some of which hold one other value: a final -0, or a NaN. */
function blocks(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => {
    const block = index >> 6;
    if (block % 4 === 0) return Math.sin(index) * 10 ** ((index % 9) - 4);
    if (block % 16 === 1 && index % 64 === 63) return -0;
    if (block % 16 === 2 && index % 64 === 17) return Number.NaN;
    return 0;
  });
}

/** Returns one bit per 64 values, in words of 32. */
function bitmapOf(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bitmap = new Uint8Array(4 * Math.ceil(values.length / 64 / 32));
  for (const [index, each] of bits.entries()) if (each !== 0) bitmap[index >> 9]! |= 1 << ((index >> 6) & 7);
  return bitmap;
}

it('every backend on WebAssembly has the kernels, with threads as well', () => {
  expect(withCodec.map(({ name, threads }) => `${name} ${threads ?? 1}`)).toEqual(['cpu 1', 'cpu 2']);
});

describe.each(withCodec.map((backend) => [`${backend.name}, ${backend.threads ?? 1} threads`, backend] as const))(
  'codec of %s',
  (_, backend) => {
    const { codec } = backend;
    const checksum = checksumBy(codec);

    it.each(valueCounts)('gives the checksum and the blocks of %i values that plain loops give', (length) => {
      const storage = backend.allocate(length + 3);
      for (const offset of [0, 1, 3]) {
        const values = blocks(length);
        const inPlace = backend.view(backend.slice(storage, offset, length));
        inPlace.set(values);
        const memory = new Uint8Array(4 * length + 8);
        const elsewhere = memory.subarray(offset, offset + 4 * length);
        elsewhere.set(new Uint8Array(values.buffer));
        const expected = checksumOf(elsewhere);
        expect(checksum(new Uint8Array(inPlace.buffer, inPlace.byteOffset, 4 * length))).toBe(expected);
        expect(checksum(elsewhere)).toBe(expected);
        const bitmap = bitmapOf(values);
        expect(codec.nonZeroBlocks(inPlace)).toEqual(bitmap);
        expect(codec.nonZeroBlocks(values)).toEqual(bitmap);
        expect(encodeSparse(inPlace, bitmap)).toEqual(encodeSparse(values));
      }
      backend.free(storage);
    });

    it('takes any number of bytes from any address', () => {
      const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => (index * index) >> 3);
      const storage = backend.allocate(20_000);
      const view = backend.view(storage);
      const inPlace = new Uint8Array(view.buffer, view.byteOffset, 80_000);
      for (const length of [0, 1, 2, 5, 127, 129, 4000, 65_535, 65_537, 69_999]) {
        for (let offset = 0; offset < 9; offset++) {
          const data = bytes.subarray(0, length);
          inPlace.set(data, offset);
          const expected = checksumOf(data);
          expect(checksum(inPlace.subarray(offset, offset + length))).toBe(expected);
          expect(checksum(bytes.slice(0, length))).toBe(expected);
        }
      }
      backend.free(storage);
    });

    it('goes on after the backend’s memory has moved', () => {
      const values = blocks(1000);
      const before = checksum(new Uint8Array(values.buffer));
      const large = backend.allocate(8_000_000);
      expect(checksum(new Uint8Array(values.buffer))).toBe(before);
      backend.view(large).set(values);
      const { buffer, byteOffset } = backend.view(large);
      expect(checksum(new Uint8Array(buffer, byteOffset, 4000))).toBe(before);
      backend.free(large);
    });
  },
);
