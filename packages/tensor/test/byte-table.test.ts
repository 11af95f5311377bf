/** Rows uploaded from a table are those rows' bytes uploaded, on every backend. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HostBackend } from '../src/index.ts';
import { createByteTable } from '../src/index.ts';
import { openAll, randomStream } from './support.ts';

const backends = await openAll();

function filled(backend: HostBackend, rows: number, columns: number, seed = 1) {
  const random = randomStream(seed);
  const bytes = Array.from({ length: rows }, () => Uint8Array.from({ length: columns }, () => random() * 256));
  const table = createByteTable(backend, rows, columns);
  for (const [row, line] of bytes.entries()) table.write(row, line);
  return { table, bytes };
}

describe.each(backends.map((backend) => [backend.name, backend] as const))('a table of bytes on %s', (_, backend) => {
  it('uploads rows in any order, often or never, as their bytes are', () => {
    const shapes = fc.record({ rows: fc.integer({ min: 1, max: 40 }), columns: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(shapes, fc.array(fc.nat(), { maxLength: 60 }), fc.nat(), ({ rows, columns }, picks, seed) => {
        const { table, bytes } = filled(backend, rows, columns, seed);
        const numbers = Uint32Array.from(picks, (pick) => pick % rows);
        const size = numbers.length * columns;
        const [whole, expected] = [backend.allocate(size + 1), backend.allocate(size)];
        backend.upload(whole, new Float32Array(size + 1).fill(7));
        table.upload(backend.slice(whole, 0, size), numbers, 255);
        backend.uploadBytes(expected, Uint8Array.from([...numbers].flatMap((row) => [...bytes[row]!])), 255);
        expect(backend.view(whole)).toEqual(Float32Array.of(...backend.view(expected), 7));
        table.dispose();
        backend.free(whole);
        backend.free(expected);
      }),
    );
  });

  it('holds what was written while other memory comes and goes', () => {
    const { table, bytes } = filled(backend, 300, 28);
    const others = [backend.allocate(3_000_000), backend.allocate(5)];
    for (const other of others) backend.upload(other, new Float32Array(other.length).fill(9));
    expect(Array.from({ length: 300 }, (__, row) => table.read(row))).toEqual(bytes);
    table.write(299, new Uint8Array(28).fill(1));
    const numbers = Uint32Array.from({ length: 2_500 }, (__, index) => (index * 7 + (index === 2_499 ? 299 : 0)) % 300);
    const storage = backend.allocate(numbers.length * 28);
    table.upload(storage, numbers, 1);
    const expected = [...numbers].flatMap((row) => [...(row === 299 ? new Uint8Array(28).fill(1) : bytes[row]!)]);
    expect(backend.view(storage)).toEqual(Float32Array.from(expected));
    for (const other of [...others, storage]) backend.free(other);
    table.dispose();
  });

  it('refuses rows that there are not, rows of another length, and storages of another size', () => {
    const { table } = filled(backend, 5, 3);
    const storage = backend.allocate(6);
    expect(() => table.upload(storage, Uint32Array.of(4, 5), 255)).toThrow('table: expected a row below 5, got 5');
    expect(() => table.upload(storage, Uint32Array.of(2 ** 32 - 1, 0), 255)).toThrow('got 4294967295');
    expect(() => table.upload(storage, Uint32Array.of(4), 255)).toThrow('the storage holds 6 values, but 3 were given');
    expect(() => table.write(5, new Uint8Array(3))).toThrow('table: expected a row below 5, got 5');
    expect(() => table.write(0, new Uint8Array(4))).toThrow('table: expected 3 bytes in a row, got 4');
    expect(() => table.read(-1)).toThrow('table: expected a row below 5, got -1');
    expect(() => createByteTable(backend, 2.5, 3)).toThrow('expected whole numbers of rows and columns, got 2.5 and 3');
    table.dispose();
    backend.free(storage);
  });
});
