/** What the gpu backend must do on every device. */
import { describe, expect, it } from 'vitest';
import { runCall } from '../src/autograd.ts';
import { GpuBackend } from '../src/backends/gpu/gpu-backend.ts';
import { checkNumerics } from '../src/backends/registry.ts';
import { apply, type Backend, type Formula, input, type KernelCall, type Storage } from '../src/index.ts';
import { difference, disagreements, type ExamplesByOp, imageNetworkPlan, networkPlan, resultOf } from './agreement.ts';
import type { Opened } from './gpu-devices.ts';
import { opNames } from './op-examples.ts';
import { openAll } from './support.ts';
import { randomValues } from './values.ts';

const reference = (await openAll()).find((backend) => backend.name === 'reference')!;

/** Runs a call, and returns its output. */
async function computed(on: Backend, call: KernelCall & { readonly output: Storage }): Promise<Float32Array> {
  runCall(on, call);
  return on.download(call.output);
}

/** Returns a storage with random values. */
function filled(on: Backend, length: number, seed: number): Storage {
  const storage = on.allocate(length);
  on.upload(storage, randomValues(length, seed));
  return storage;
}

/** A map over one storage, element by element. */
function mapOf(formula: Formula, storage: Storage, output: Storage) {
  return { kind: 'map', formula, shape: [output.length], inputs: [{ storage, strides: [1] }], output } as const;
}

async function expectAgreement(backend: Backend, compute: (on: Backend) => Promise<Float32Array>, label = '') {
  const [expected, got] = await Promise.all([reference, backend].map(compute));
  expect(difference(expected!, got!), label).toBeUndefined();
}

/** Declares the tests of a device; they are skipped if it is not available. */
export function describeGpu({ title, device }: Opened, examples: ExamplesByOp): void {
  describe(title, () => {
    const run = device === undefined ? it.skip : it;
    const backend = device && new GpuBackend('gpu', device);

    run.each(opNames)('%s agrees with the reference', async (name) => {
      expect(await disagreements(backend!, reference, name, examples[name])).toEqual([]);
    });

    run.each([
      { batch: 9, features: 83, hidden: 19, classes: 7 },
      { batch: 16, features: 36, hidden: 24, classes: 10 },
      { batch: 64, features: 12, hidden: 8, classes: 4 },
    ])('computes a compiled step of %o, again and again', async (sizes) => {
      const [expected, got] = [networkPlan(reference, sizes), networkPlan(backend!, sizes)];
      expected.run();
      const values = await reference.download(expected.output);
      for (let round = 0; round < 3; round++) {
        got.run();
        expect(difference(values, await backend!.download(got.output))).toBeUndefined();
      }
      expected.dispose();
      got.dispose();
    });

    run('passes the numerics check', async () => {
      await expect(checkNumerics(backend!)).resolves.toEqual(expect.any(Number));
    });

    run('copies values in and out to the bit, and bytes as float32 divides them', async () => {
      const bits = new Uint32Array([0x7fc00001, 0x80000000, 1, 0xff800000, 0x3f800000]);
      const storage = backend!.allocate(12);
      backend!.upload(backend!.slice(storage, 3, 5), new Float32Array(bits.buffer));
      expect(new Uint32Array((await backend!.download(backend!.slice(storage, 3, 5))).buffer)).toEqual(bits);
      backend!.uploadBytes(backend!.slice(storage, 0, 3), Uint8Array.of(1, 128, 255), 255);
      expect(await backend!.download(backend!.slice(storage, 0, 3))).toEqual(Float32Array.of(1 / 255, 128 / 255, 1));
      backend!.free(storage);
    });

    run('keeps slices of one storage apart, whatever wrote them', async () => {
      const storage = backend!.allocate(23);
      const expected = new Float32Array(23);
      const random = randomValues(200, 5);
      let next = 0;
      const whole = (limit: number): number => Math.floor(Math.abs(random[next++]!) * limit);
      for (let round = 0; round < 25; round++) {
        const offset = whole(22);
        const length = 1 + whole(23 - offset);
        const slice = backend!.slice(storage, offset, length);
        if (round % 3 === 0) {
          const values = randomValues(length, round);
          backend!.upload(slice, values);
          expected.set(values, offset);
        } else {
          const from = whole(23 - length + 1);
          const source = backend!.slice(storage, from, length);
          const copied = expected.slice(from, from + length).map((value) => value + 1);
          runCall(backend!, mapOf(apply('add', input(0), 1), source, slice));
          expected.set(copied, offset);
        }
        expect(difference(expected, await backend!.download(storage))).toBeUndefined();
      }
      backend!.free(storage);
    });

    run('reads what was there when the download was asked for', async () => {
      const storage = backend!.allocate(6);
      const program = backend!.prepare([mapOf(apply('add', input(0), input(0)), storage, storage)]);
      backend!.upload(storage, Float32Array.of(1, 2, 3, 4, 5, 6));
      program.run();
      const first = backend!.download(storage);
      program.run();
      const second = backend!.download(storage);
      backend!.free(storage);
      expect([...(await first)]).toEqual([2, 4, 6, 8, 10, 12]);
      expect([...(await second)]).toEqual([4, 8, 12, 16, 20, 24]);
    });

    run('scatters into a strided layout and keeps what lies between', async () => {
      const layouts = [
        { shape: [3, 2], outputLayout: { offset: 1, strides: [5, 2] } },
        { shape: [2, 3], outputLayout: { offset: 0, strides: [1, 2] } },
        { shape: [2, 2], outputLayout: { offset: 2, strides: [2, 3] } },
        { shape: [1, 4], outputLayout: { offset: 3, strides: [9, 4] } },
      ];
      for (const { shape, outputLayout } of layouts) {
        const scattered = (on: Backend): Promise<Float32Array> => {
          const view = { storage: filled(on, 6, 1), strides: [shape[1]!, 1] };
          const output = filled(on, 20, 2);
          return computed(on, { kind: 'map', formula: input(0), shape, inputs: [view], output, outputLayout });
        };
        await expectAgreement(backend!, scattered, JSON.stringify(outputLayout));
      }
    });

    run('sums long axes and multiplies along a long k', async () => {
      const length = 5000;
      await expectAgreement(backend!, async (on) => {
        const [values, other, output] = [filled(on, length, 3), filled(on, 3 * length, 4), on.allocate(3)];
        const sizes = { outer: 1, length, inner: 1 };
        const total = on.slice(output, 0, 1);
        const sum = await computed(on, { kind: 'reduce', reduction: 'sum', ...sizes, input: values, output: total });
        const operands = { left: values, right: other, leftLayout: { strides: [1, 1] } };
        const product = await computed(on, { kind: 'matmul', m: 1, k: length, n: 3, ...operands, output });
        return Float32Array.of(...sum, ...product);
      });
    });

    run.each([
      { outer: 1, length: 5000 },
      { outer: 8, length: 70 },
      { outer: 5, length: 9 },
    ])('sums products over $length, wherever the factors lie', async ({ outer, length }) => {
      const size = outer * length;
      for (const offsets of [[0, 0], [4, 8], [0, 3], 'one storage'] as const) {
        const summed = (on: Backend): Promise<Float32Array> => {
          const part = (offset: number, seed: number) => on.slice(filled(on, size + offset, seed), offset, size);
          const input = part(offsets === 'one storage' ? 0 : offsets[0], 1);
          const factor = offsets === 'one storage' ? input : part(offsets[1], 2);
          const output = on.allocate(outer);
          return computed(on, { kind: 'reduce', reduction: 'sum', outer, length, inner: 1, input, factor, output });
        };
        await expectAgreement(backend!, summed, `from values ${offsets} on`);
      }
    });

    run.each([
      { m: 64, k: 12, n: 64, transposes: [false, false], bias: true, relu: true },
      { m: 64, k: 12, n: 64, transposes: [false, true], bias: true, relu: false },
      { m: 68, k: 20, n: 96, transposes: [true, true], bias: false, relu: true },
      { m: 64, k: 30, n: 72, transposes: [false, false], bias: true, relu: true },
      { m: 128, k: 64, n: 10, transposes: [true, false], bias: true, relu: true },
      { m: 64, k: 128, n: 10, transposes: [false, false], bias: true, relu: false },
      { m: 64, k: 10, n: 128, transposes: [false, true], bias: false, relu: true },
      { m: 20, k: 1024, n: 12, transposes: [true, false], bias: true, relu: true },
      { m: 5, k: 7, n: 3, transposes: [true, true], bias: true, relu: true },
      { m: 64, k: 0, n: 64, transposes: [false, false], bias: true, relu: true },
      { m: 3, k: 0, n: 5, transposes: [true, false], bias: true, relu: false },
    ])('multiplies %o, wherever the operands lie', async ({ m, k, n, transposes, bias, relu }) => {
      for (const offset of [0, 4, 3]) {
        const multiplied = (on: Backend): Promise<Float32Array> => {
          const part = (length: number, seed: number) => on.slice(filled(on, length + offset, seed), offset, length);
          const operands = { left: part(m * k, 1), right: part(k * n, 2) };
          const leftLayout = { strides: transposes[0] ? [1, m] : [k, 1] };
          const rightLayout = { strides: transposes[1] ? [1, k] : [n, 1] };
          const epilogue = { relu, ...(bias && { bias: part(n, 3) }) };
          const product = { kind: 'matmul', m, k, n, ...operands, leftLayout, rightLayout, epilogue } as const;
          return computed(on, { ...product, output: on.allocate(m * n) });
        };
        await expectAgreement(backend!, multiplied, `from value ${offset} on`);
      }
    });

    run.each([
      // Queries and keys, then values, of two heads in one tensor [2, 5, 3 * 8].
      {
        m: 5,
        k: 4,
        n: 5,
        left: { offset: 0, strides: [120, 4, 24, 1] },
        right: { offset: 8, strides: [120, 4, 1, 24] },
      },
      { m: 5, k: 5, n: 4, left: { strides: [50, 25, 5, 1] }, right: { offset: 16, strides: [120, 4, 24, 1] } },
      { m: 64, k: 32, n: 48, left: { offset: 3, strides: [0, 1, 70, 2] }, right: { strides: [1600, 0, 49, 1] } },
      { m: 64, k: 32, n: 47, left: { strides: [1, 2, 4, 256] }, right: { strides: [2048, 0, 1, 36] } },
      { m: 4, k: 1024, n: 4, left: { strides: [0, 0, 1, 4] }, right: { strides: [1, 0, 8, 2] } },
    ])('multiplies matrices of a batch %o where they lie', async ({ m, k, n, left, right }) => {
      const product = { kind: 'matmul', batch: [2, 2], m, k, n, leftLayout: left, rightLayout: right } as const;
      await expectAgreement(backend!, (on) =>
        computed(on, {
          ...product,
          ...{ left: filled(on, 9000, 7), right: filled(on, 9000, 8), output: on.allocate(4 * m * n) },
        }),
      );
    });

    run('computes steps over images, with dropout', async () => {
      const sizes = [
        { batch: 4, image: 12, channels: 1, filters: 4, hidden: 12, classes: 10 },
        { batch: 3, image: 9, channels: 3, filters: 3, hidden: 7, classes: 5 },
      ];
      for (const size of sizes) {
        const step = (on: Backend) => resultOf(on, () => imageNetworkPlan(on, size));
        await expectAgreement(backend!, step, JSON.stringify(size));
      }
    });

    run(
      'computes more cells in a row than a texture has along a side, and than WebGPU starts along an axis',
      async () => {
        const length = 4 * 600_000;
        await expectAgreement(backend!, (on) =>
          computed(on, mapOf(apply('mul', input(0), input(0)), filled(on, length, 6), on.allocate(length))),
        );
      },
    );

    run('refuses storages that are gone, too small or of another backend, as every backend does', () => {
      const storage = backend!.allocate(6);
      const slice = backend!.slice(storage, 2, 3);
      expect(() => backend!.slice(storage, 4, 3)).toThrow('3 values from 4 on do not lie inside a storage of 6');
      expect(() => backend!.allocate(-1)).toThrow('a whole number of at least 0, got -1');
      expect(() => backend!.allocate(2 ** 40)).toThrow('one storage holds at most');
      expect(() => backend!.upload(storage, new Float32Array(5))).toThrow(
        'the storage holds 6 values, but 5 were given',
      );
      expect(() => backend!.free(slice)).toThrow('a slice cannot be freed');
      expect(() => reference.view(storage)).toThrow('belongs to another backend');
      backend!.free(storage);
      expect(() => backend!.upload(slice, new Float32Array(3))).toThrow('already freed');
      expect(() => backend!.free(storage)).toThrow('already freed');
    });
  });
}
