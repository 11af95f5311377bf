/** Bytes in inputs and tables: products read them with the bits of their floats, and all other readers see floats. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  compile,
  createByteInput,
  createByteTable,
  fromArray,
  fromStorage,
  type HostBackend,
  matmul,
  max,
  type Plan,
  relu,
  type Storage,
  slice,
  sum,
  type Tensor,
  tidy,
} from '../src/index.ts';
import { bitsOf, openAll, randomStream, randomValues } from './support.ts';

const backends = await openAll();

/** Returns bytes of which about the fraction `density` are not 0. */
function randomBytes(count: number, seed: number, density: number): Uint8Array {
  const random = randomStream(seed);
  return Uint8Array.from({ length: count }, () => (random() < density ? 1 + random() * 255 : 0));
}

function floatsOf(bytes: Uint8Array, divisor = 255): Float32Array {
  return Float32Array.from(bytes).map((byte) => Math.fround(byte / divisor));
}

interface Layer {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly microbatches: number;
}

/** Compiles a layer and the gradient of its weights: both read the samples `x` [rows, inputs] as left operand. */
function compileLayer(backend: HostBackend, x: Storage, { rows, inputs, outputs, microbatches }: Layer): Plan {
  return compile(
    backend,
    (samples, weights, bias, gradient) => [
      relu(add(matmul(samples!, weights!), bias!)),
      matmul(samples!, gradient!, { transposeLeft: true, microbatches }),
    ],
    [fromStorage(backend, x, [rows, inputs]), [inputs, outputs], [outputs], [rows, outputs]],
  );
}

function randomLayer(backend: HostBackend, x: Storage, layer: Layer, poison?: number): Plan {
  const plan = compileLayer(backend, x, layer);
  for (const [index, { storage }] of plan.inputs.entries()) {
    if (index > 0) backend.upload(storage, randomValues(storage.length, 80 + index));
  }
  if (poison !== undefined) backend.view(plan.inputs[1]!.storage)[7] = poison;
  return plan;
}

function resultOf(backend: HostBackend, plan: Plan): ArrayLike<number> {
  plan.run();
  return bitsOf(backend.view(plan.output).slice());
}

const layers = fc
  .record({
    microbatches: fc.integer({ min: 1, max: 5 }),
    size: fc.integer({ min: 1, max: 40 }),
    inputs: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 10, max: 150 }) }, fc.constant(1030)),
    outputs: fc.integer({ min: 1, max: 40 }),
  })
  .map(({ size, ...layer }) => ({ ...layer, rows: size * layer.microbatches }));

describe.each(backends)('bytes as operands on $name', (backend) => {
  /** Runs `check` on a storage that was filled from bytes, and on one that was filled with their floats. */
  function both(layer: Layer, bytes: Uint8Array, check: (x: Storage) => void): void {
    for (const isByte of [true, false]) {
      const x = backend.allocate(bytes.length);
      const input = isByte ? createByteInput(backend, x, 255) : undefined;
      const plan = randomLayer(backend, x, layer);
      if (input) input.take(bytes).run();
      else backend.upload(x, floatsOf(bytes));
      check(x);
      input?.dispose();
      plan.dispose();
      backend.free(x);
    }
  }

  it('multiply with the bits of their floats, for random sizes and densities, taken either way', () => {
    const density = fc.constantFrom(0, 0.05, 0.2, 0.34, 0.9);
    const poison = fc.constantFrom(undefined, undefined, Number.NaN, Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(layers, density, poison, fc.nat(), (layer, part, wrong, seed) => {
        const { rows, inputs } = layer;
        const x = backend.allocate(rows * inputs);
        const input = createByteInput(backend, x, 255);
        const plan = randomLayer(backend, x, layer, wrong);
        const bytes = randomBytes(rows * inputs, seed, part);
        backend.upload(x, floatsOf(bytes));
        const expected = resultOf(backend, plan);
        input.take(bytes).run();
        expect(resultOf(backend, plan)).toEqual(expected);
        const table = createByteTable(backend, rows, inputs);
        for (let row = 0; row < rows; row++) table.write(row, bytes.subarray(row * inputs, (row + 1) * inputs));
        const numbers = Uint32Array.from({ length: rows }, (__, row) => row);
        input.takeRows(table, numbers).run();
        expect(resultOf(backend, plan)).toEqual(expected);
        // A second run must read the same bytes, whatever the first run did to them.
        expect(resultOf(backend, plan)).toEqual(expected);
        expect(backend.view(x)).toEqual(floatsOf(bytes));
        input.dispose();
        plan.dispose();
        table.dispose();
        backend.free(x);
      }),
      { numRuns: 60, seed: 11 },
    );
  });

  const layer: Layer = { rows: 40, inputs: 60, outputs: 20, microbatches: 4 };
  const bytes = randomBytes(layer.rows * layer.inputs, 5, 0.2);
  const floats = floatsOf(bytes);

  it('are floats to all that looks: views, downloads, slices, magnitudes', async () => {
    const found: Float32Array[][] = [];
    const downloads: Promise<Float32Array>[] = [];
    both(layer, bytes, (x) => {
      found.push([backend.view(backend.slice(x, 7, 30)).slice(), backend.view(x).slice()]);
      downloads.push(backend.download(x));
    });
    expect(found[0]).toEqual(found[1]);
    for (const values of await Promise.all(downloads)) expect(values).toEqual(floats);
    both(layer, bytes, (x) => {
      const { program, value } = backend.magnitudeOf(x);
      program.run();
      expect(value()).toBe(Math.max(...floats));
    });
  });

  it('give way to floats that are written over a part of them', () => {
    const part = Uint8Array.from({ length: 9 }, (__, index) => index);
    both(layer, bytes, (x) => {
      backend.upload(backend.slice(x, 100, 3), Float32Array.of(-1, -2, -3));
      backend.uploadBytes(backend.slice(x, 300, 9), part, 3);
      const expected = floats.slice();
      expected.set([-1, -2, -3], 100);
      expected.set(floatsOf(part, 3), 300);
      expect(backend.view(x)).toEqual(expected);
    });
  });

  const { rows, inputs } = layer;
  const readers: Record<string, (x: Tensor) => Tensor> = {
    'a sum': (x) => sum(x, { axes: [1] }),
    'a product with itself': (x) => matmul(x, x, { transposeLeft: true }),
    'a product from the right': (x) => matmul(fromArray(backend, randomValues(7 * rows, 71), [7, rows]), x),
    'a product of some rows': (x) => {
      const part = fromStorage(backend, backend.slice(x.storage, 0, 10 * inputs), [10, inputs]);
      return matmul(part, fromArray(backend, randomValues(inputs * 20, 72), [inputs, 20]));
    },
    'a product that reads through a slice': (x) => {
      const weights = fromArray(backend, randomValues(inputs * 20, 74), [inputs, 20]);
      const plan = compile(backend, (values, w) => matmul(slice(values!, [{ end: 10 }]), w!), [x, weights]);
      expect(plan.calls).toEqual(['matmul']);
      plan.run();
      return plan.outputs[0]!;
    },
    'a batch of products': (x) => {
      const halves = fromStorage(backend, x.storage, [2, rows / 2, inputs]);
      return matmul(halves, fromArray(backend, randomValues(2 * inputs * 20, 73), [2, inputs, 20]));
    },
  };

  it.each(Object.entries(readers))('are floats to %s, and go on to be multiplied', (_name, reader) => {
    const x = backend.allocate(bytes.length);
    const tensor = fromStorage(backend, x, [rows, inputs]);
    const bits = () => tidy(() => bitsOf(backend.view(reader(tensor).storage).slice()));
    const input = createByteInput(backend, x, 255);
    const products = randomLayer(backend, x, layer);
    backend.upload(x, new Float32Array(x.length).fill(7));
    input.take(bytes).run();
    const [product, found] = [resultOf(backend, products), bits()];
    input.take(bytes).run();
    expect([resultOf(backend, products), bits()]).toEqual([product, found]);
    backend.upload(x, floats);
    expect([resultOf(backend, products), bits()]).toEqual([product, found]);
  });

  it('are floats to a plan that there was before', () => {
    const x = backend.allocate(bytes.length);
    const tensor = fromStorage(backend, x, [layer.rows, layer.inputs]);
    const maxima = compile(backend, (values) => max(values!, { axes: [1] }), [tensor]);
    const input = createByteInput(backend, x, 255);
    const products = randomLayer(backend, x, layer);
    for (let round = 0; round < 2; round++) {
      input.take(bytes).run();
      maxima.run();
      const rows = Array.from({ length: layer.rows }, (__, row) =>
        floats.subarray(row * layer.inputs).slice(0, layer.inputs),
      );
      expect([...backend.view(maxima.output)]).toEqual(rows.map((row) => Math.max(...row)));
      products.run();
    }
  });

  it('are floats to a magnitude that was asked for before', () => {
    const x = backend.allocate(bytes.length);
    const { program, value } = backend.magnitudeOf(x);
    backend.upload(x, new Float32Array(x.length).fill(7));
    const input = createByteInput(backend, x, 255);
    randomLayer(backend, x, layer);
    input.take(bytes).run();
    program.run();
    expect(value()).toBe(Math.max(...floats));
  });

  it('give way to bytes of another input, of a part or with another divisor', () => {
    const others = [
      { count: 10 * inputs, divisor: 255 },
      { count: bytes.length, divisor: 0.5 },
      { count: bytes.length, divisor: Number.NaN },
    ];
    for (const { count, divisor } of others) {
      const x = backend.allocate(bytes.length);
      const input = createByteInput(backend, x, 255);
      const products = randomLayer(backend, x, layer);
      input.take(bytes).run();
      const other = createByteInput(backend, backend.slice(x, 0, count), divisor);
      const taken = bytes.slice(0, count).reverse();
      other.take(taken).run();
      const expected = floats.slice();
      expected.set(floatsOf(taken, divisor));
      const found = resultOf(backend, products);
      expect(backend.view(x)).toEqual(expected);
      backend.upload(x, expected);
      expect(resultOf(backend, products)).toEqual(found);
    }
  });

  it('can be replaced by the result of a plan', () => {
    const x = backend.allocate(4);
    const input = createByteInput(backend, x, 1);
    const tensor = fromStorage(backend, x, [2, 2]);
    const doubled = compile(backend, (values) => add(values!, values!), [tensor], { into: [x] });
    const product = compile(backend, (values, right) => matmul(values!, right!), [tensor, [2, 2]]);
    backend.upload(product.inputs[1]!.storage, Float32Array.of(1, 0, 0, 1));
    input.take(Uint8Array.of(1, 2, 3, 4)).run();
    doubled.run();
    product.run();
    expect([...backend.view(product.output)]).toEqual([2, 4, 6, 8]);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-42, 0.1])('divide by %f as floats do', (divisor) => {
    const x = backend.allocate(bytes.length);
    const input = createByteInput(backend, x, divisor);
    const plan = randomLayer(backend, x, layer);
    backend.uploadBytes(x, bytes, divisor);
    const expected = [resultOf(backend, plan), bitsOf(backend.view(x).slice())];
    input.take(bytes).run();
    expect([resultOf(backend, plan), bitsOf(backend.view(x).slice())]).toEqual(expected);
  });

  it('leave nothing behind in memory that is freed and taken again', () => {
    for (let round = 0; round < 3; round++) {
      const x = backend.allocate(bytes.length);
      const input = round === 1 ? undefined : createByteInput(backend, x, 255);
      const plan = randomLayer(backend, x, layer);
      const values = floats.map((value) => value + round);
      backend.upload(x, values);
      input?.take(bytes).run();
      input?.dispose();
      expect(backend.view(x)).toEqual(input ? floats : values);
      plan.dispose();
      backend.free(x);
    }
  });
});

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

describe.each(backends)('a table of bytes on $name', (backend) => {
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
