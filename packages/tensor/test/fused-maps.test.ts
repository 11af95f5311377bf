/** Maps of any layout, and maps fused into one pass, have the bits of the reference. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { apply, constant, type Formula, input, type MapCall, openBackend, type Primitive } from '../src/index.ts';
import { nodeThreads } from '../src/node.ts';
import { sizeOf } from '../src/shape.ts';
import { randomValues } from './values.ts';

const { backend: cpu } = await openBackend('cpu');
const { backend: reference } = await openBackend('reference');

/** Ten contiguous vectors: maps may use the same vector, separate ones, or overlapping slices. */
const vectors = 10;

const primitives = ['add', 'sub', 'mul', 'maximum'] as const satisfies readonly Primitive[];

const mapArbitrary = fc.record({
  /** Start of each input, in thirds of a vector, and whether the input is one value for all elements. */
  inputs: fc.array(fc.record({ third: fc.nat(3 * (vectors - 1)), isScalar: fc.boolean() }), {
    minLength: 1,
    maxLength: 4,
  }),
  output: fc.nat(3 * (vectors - 1)),
  operations: fc.array(fc.tuple(fc.constantFrom(...primitives), fc.nat(), fc.nat()), { maxLength: 5 }),
});

/** Mostly whole vectors, as in an optimizer's step. */
const alignedArbitrary = mapArbitrary.map((map) => ({
  ...map,
  inputs: map.inputs.map((each) => ({ ...each, third: 3 * (each.third % vectors) })),
  output: 3 * (map.output % vectors),
}));

function formulaOf(inputs: number, operations: readonly (readonly [Primitive, number, number])[]): Formula {
  const values: Formula[] = Array.from({ length: inputs }, (_, index) => input(index));
  for (const [primitive, left, right] of operations) {
    values.push(apply(primitive, values[left % values.length]!, values[right % values.length]!));
  }
  return values.at(-1)!;
}

type RandomMap = typeof mapArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

function run(backend: typeof cpu, maps: readonly RandomMap[], length: number, isOneProgram: boolean): Float32Array {
  const memory = backend.allocate(vectors * length + length);
  backend.upload(memory, randomValues(memory.length, 1));
  const at = (third: number) => backend.slice(memory, Math.floor((third * length) / 3), length);
  const calls = maps.map(({ inputs, output, operations }): MapCall => {
    return {
      kind: 'map',
      formula: formulaOf(inputs.length, operations),
      shape: [length],
      inputs: inputs.map(({ third, isScalar }) => ({ storage: at(third), strides: [isScalar ? 0 : 1] })),
      output: at(output),
    };
  });
  if (isOneProgram) backend.prepare(calls).run();
  else for (const call of calls) backend.prepare([call]).run();
  const values = backend.view(memory).slice();
  backend.free(memory);
  return values;
}

/** Whether a map is well defined: the output must equal an input or not overlap it. */
function isSound({ inputs, output }: RandomMap): boolean {
  return inputs.every(({ third, isScalar }) => (third === output && !isScalar) || Math.abs(third - output) >= 3);
}

it('one program of maps has the bits of a program for each', () => {
  const maps = fc.array(fc.oneof({ weight: 3, arbitrary: alignedArbitrary }, mapArbitrary).filter(isSound), {
    minLength: 2,
    maxLength: 5,
  });
  fc.assert(
    fc.property(maps, fc.constantFrom(1, 3, 30, 511, 512, 1500), (calls, length) => {
      const expected = run(reference, calls, length, false);
      expect(run(cpu, calls, length, true)).toEqual(expected);
      expect(run(cpu, calls, length, false)).toEqual(expected);
    }),
    { numRuns: 400 },
  );
});

/** Axes of a view, from the smallest stride on, with gaps between neighbors; an axis may repeat the same values. */
const layoutArbitrary = fc.record({
  order: fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
  gaps: fc.constantFrom(0, 0, 1),
  repeated: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
});

function layoutOf(shape: readonly number[], layout: typeof layoutArbitrary extends fc.Arbitrary<infer V> ? V : never) {
  const strides = [0, 0, 0];
  let stride = 1 + layout.gaps;
  for (const axis of layout.order) {
    if (layout.repeated[axis]) continue;
    strides[axis] = stride;
    stride *= shape[axis]! + layout.gaps;
  }
  return { strides, offset: layout.gaps, length: stride + layout.gaps };
}

it('a map has the bits of the reference whatever the layouts, and writes nothing but its results', () => {
  const length = fc.constantFrom(1, 2, 3, 5, 64, 169, 254, 255, 513);
  const shape = fc.tuple(fc.constantFrom(1, 2, 3), length, length).filter((lengths) => sizeOf(lengths) < 70_000);
  const output = layoutArbitrary.map((layout) => ({
    ...layout,
    repeated: [false, false, false] as typeof layout.repeated,
  }));
  const formula = apply('add', apply('mul', input(0), input(1)), input(2));
  const runOn = (backend: typeof cpu, shape: readonly number[], layouts: readonly ReturnType<typeof layoutOf>[]) => {
    const views = layouts.map(({ length, ...layout }, seed) => {
      const storage = backend.allocate(length);
      backend.upload(storage, randomValues(length, seed));
      return { storage, ...layout };
    });
    const { storage, ...outputLayout } = views.pop()!;
    const program = backend.prepare([{ kind: 'map', formula, shape, inputs: views, output: storage, outputLayout }]);
    program.run();
    program.dispose();
    const written = backend.view(storage).slice();
    for (const each of [...views.map((view) => view.storage), storage]) backend.free(each);
    return written;
  };
  fc.assert(
    fc.property(shape, fc.tuple(layoutArbitrary, layoutArbitrary, layoutArbitrary, output), (lengths, layouts) => {
      const placed = layouts.map((layout) => layoutOf(lengths, layout));
      expect(runOn(cpu, lengths, placed)).toEqual(runOn(reference, lengths, placed));
    }),
    { numRuns: 200 },
  );
});

/** Kind of a factor: a constant of the formula, one value in memory, or a vector. */
const factorArbitrary = fc.constantFrom('constant', 'scalar', 'vector');
const vectorArbitrary = fc.nat(vectors - 1);

const stepArbitrary = fc.record({
  factors: fc.tuple(factorArbitrary, factorArbitrary, factorArbitrary),
  /** Vector numbers of x, y and z, then of the two outputs. */
  places: fc.tuple(vectorArbitrary, vectorArbitrary, vectorArbitrary, vectorArbitrary, vectorArbitrary),
  /** Whether the first product is read by more than the sum. */
  readsTwice: fc.boolean(),
  length: fc.constantFrom(1, 2, 5, 16, 31, 511, 512, 1500),
});

/** Returns the calls for `sum = x * a + y * b` and `z - c * sum`, as in an optimizer with momentum. */
function stepCalls(
  backend: typeof cpu,
  memory: ReturnType<typeof cpu.allocate>,
  { factors, places, readsTwice, length }: typeof stepArbitrary extends fc.Arbitrary<infer Value> ? Value : never,
): MapCall[] {
  const at = (vector: number) => ({ storage: backend.slice(memory, vector * length, length), strides: [1] });
  const scalars = factors.map((_, index) => ({
    storage: backend.slice(memory, vectors * length + index, 1),
    strides: [0],
  }));
  const factor = (which: number, atInput: number): Formula =>
    factors[which] === 'constant' ? constant([0.9, 0.0625, 0.05][which]!) : input(atInput);
  const view = (which: number) => (factors[which] === 'vector' ? at((which + 3) % vectors) : scalars[which]!);
  const [x, y, z, sum, difference] = places.map(at);
  const decayed = apply('mul', input(0), factor(0, 1));
  const added = apply('add', decayed, apply('mul', input(2), factor(1, 3)));
  const step = apply('sub', input(0), apply('mul', factor(2, 1), input(2)));
  return [
    {
      kind: 'map',
      formula: readsTwice ? apply('maximum', added, decayed) : added,
      shape: [length],
      inputs: [x!, view(0), y!, view(1)],
      output: sum!.storage,
    },
    { kind: 'map', formula: step, shape: [length], inputs: [z!, view(2), sum!], output: difference!.storage },
  ];
}

it.each([1, 2])('with %i threads a step with momentum has the bits of its operations', async (threads) => {
  const opened = (await openBackend('cpu', nodeThreads(threads))).backend;
  const run = (backend: typeof cpu, step: Parameters<typeof stepCalls>[2], isOneProgram: boolean): Float32Array => {
    const memory = backend.allocate(vectors * step.length + 3);
    const values = randomValues(memory.length, 2, 0.8).map((value, index) => (index % 7 === 0 ? -value : value));
    backend.upload(memory, values);
    const calls = stepCalls(backend, memory, step);
    for (const each of isOneProgram ? [calls] : calls.map((call) => [call])) backend.prepare(each).run();
    const result = backend.view(memory).slice();
    backend.free(memory);
    return result;
  };
  fc.assert(
    fc.property(stepArbitrary, (step) => {
      expect(run(opened, step, true)).toEqual(run(reference, step, false));
    }),
    { numRuns: 300 },
  );
  await opened.close?.();
});
