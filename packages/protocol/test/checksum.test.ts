import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { chunkChecksum, openChecksum } from '../src/checksum.ts';

const bytes = Uint8Array.from({ length: 1001 }, (_, index) => (index * 31) % 256);

describe('openChecksum', () => {
  it('is the lower half of XXH64 with seed 0', async () => {
    const checksum = await openChecksum();
    expect(checksum(new Uint8Array(0))).toBe(0x51d8e999);
    expect(checksum(new TextEncoder().encode('abc'))).toBe(0xad770999);
  });

  it('changes with any one bit', async () => {
    const checksum = await openChecksum();
    const good = checksum(bytes);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(checksum(damaged)).not.toBe(good);
    }
  });

  it('of a chunk changes with its place', async () => {
    const checksum = await openChecksum();
    const sums = [1, 2, 64, 128].map((at) => chunkChecksum(checksum, { at, bytes }));
    expect(new Set(sums).size).toBe(4);
  });

  it('does not depend on alignment or on earlier calls', async () => {
    const checksum = await openChecksum();
    const expected = checksum(bytes);
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(checksum(shifted.subarray(3))).toBe(expected);
    checksum(new Uint8Array(5_000_000).fill(255));
    expect(checksum(bytes)).toBe(expected);
  });

  it('gives the same in a worker thread', async () => {
    const module = JSON.stringify(import.meta.resolve('xxhash-wasm'));
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      import(${module}).then(async ({ default: xxhash }) => {
        const { h64Raw } = await xxhash();
        parentPort.postMessage(Number(h64Raw(workerData) & 0xffffffffn));
      });`;
    const worker = new Worker(source, { eval: true, workerData: bytes });
    const inThread = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
    expect(inThread).toBe((await openChecksum())(bytes));
  });
});
