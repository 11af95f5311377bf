/** Bytes or table rows taken by an input equal the same bytes uploaded, on every backend. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createByteInput, createByteTable, type HostBackend, type Storage } from '../src/index.ts';
import { openAll, randomStream } from './support.ts';

const backends = await openAll();

function filled(backend: HostBackend, rows: number, columns: number, seed = 1) {
  const random = randomStream(seed);
  const bytes = Array.from({ length: rows }, () => Uint8Array.from({ length: columns }, () => random() * 256));
  const table = createByteTable(backend, rows, columns);
  for (const [row, line] of bytes.entries()) table.write(row, line);
  return { table, bytes };
}

/** Takes rows and converts them immediately. */
function takeRows(backend: HostBackend, storage: Storage, divisor: number, ...rows: Rows): void {
  const input = createByteInput(backend, storage, divisor);
  input.takeRows(...rows).run();
  input.dispose();
}

type Rows = Parameters<ReturnType<typeof createByteInput>['takeRows']>;

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
        takeRows(backend, backend.slice(whole, 0, size), 255, table, numbers);
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
    takeRows(backend, storage, 1, table, numbers);
    const expected = [...numbers].flatMap((row) => [...(row === 299 ? new Uint8Array(28).fill(1) : bytes[row]!)]);
    expect(backend.view(storage)).toEqual(Float32Array.from(expected));
    for (const other of [...others, storage]) backend.free(other);
    table.dispose();
  });

  it('gives what its input took last, from either source, each time it runs', () => {
    const { table, bytes } = filled(backend, 9, 4);
    const storage = backend.allocate(8);
    const input = createByteInput(backend, storage, 5);
    const expected = (...rows: Uint8Array[]) =>
      Float32Array.from(rows.flatMap((row) => [...row].map((byte) => byte / 5)));
    input.take(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 255)).run();
    expect(backend.view(storage)).toEqual(expected(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 255)));
    input.takeRows(table, Uint32Array.of(8, 0)).run();
    expect(backend.view(storage)).toEqual(expected(bytes[8]!, bytes[0]!));
    input.takeRows(table, Uint32Array.of(3, 3)).run();
    expect(backend.view(storage)).toEqual(expected(bytes[3]!, bytes[3]!));
    expect(() => input.take(new Uint8Array(7))).toThrow('the storage holds 8 values, but 7 were given');
    input.dispose();
    table.dispose();
    backend.free(storage);
  });

  it('refuses rows that there are not, rows of another length, and storages of another size', () => {
    const { table } = filled(backend, 5, 3);
    const storage = backend.allocate(6);
    const take = (...numbers: number[]) => takeRows(backend, storage, 255, table, Uint32Array.from(numbers));
    expect(() => take(4, 5)).toThrow('table: expected a row below 5, got 5');
    expect(() => take(2 ** 32 - 1, 0)).toThrow('got 4294967295');
    expect(() => take(4)).toThrow('the storage holds 6 values, but 3 were given');
    expect(() => table.write(5, new Uint8Array(3))).toThrow('table: expected a row below 5, got 5');
    expect(() => table.write(0, new Uint8Array(4))).toThrow('table: expected 3 bytes in a row, got 4');
    expect(() => table.read(-1)).toThrow('table: expected a row below 5, got -1');
    expect(() => createByteTable(backend, 2.5, 3)).toThrow('expected whole numbers of rows and columns, got 2.5 and 3');
    table.dispose();
    backend.free(storage);
  });
});
