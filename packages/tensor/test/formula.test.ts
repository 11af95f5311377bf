/** Elementwise formulas on every backend have the bits that the scalar functions define. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runCall } from '../src/autograd.ts';
import { type Primitive, primitives } from '../src/formula.ts';
import { apply, constant, type Formula, type HostBackend, input, type MapCall } from '../src/index.ts';
import { contiguousStrides, sizeOf } from '../src/shape.ts';
import { openAll, randomValues } from './support.ts';

const backends = await openAll();
const inputCount = 3;

/** Independent of the reference backend but for functions that transcendental.test.ts checks. */
function evaluate(formula: Formula, inputs: readonly number[]): number {
  switch (formula.kind) {
    case 'input':
      return inputs[formula.index]!;
    case 'constant':
      return formula.value;
    case 'apply': {
      const [a, b, c] = formula.operands.map((operand) => evaluate(operand, inputs)) as [number, number, number];
      const results: Record<Primitive, () => number> = {
        neg: () => -a,
        exp: () => primitives.exp.js(a),
        log: () => primitives.log.js(a),
        abs: () => Math.abs(a),
        sqrt: () => Math.sqrt(a),
        tanh: () => primitives.tanh.js(a),
        sigmoid: () => primitives.sigmoid.js(a),
        softplus: () => primitives.softplus.js(a),
        normalCdf: () => primitives.normalCdf.js(a),
        geluSlope: () => primitives.geluSlope.js(a),
        add: () => a + b,
        sub: () => a - b,
        mul: () => a * b,
        div: () => a / b,
        pow: () => primitives.pow.js(a, b),
        maximum: () => Math.max(a, b),
        minimum: () => Math.min(a, b),
        greater: () => Number(a > b),
        greaterEqual: () => Number(a >= b),
        equal: () => Number(a === b),
        where: () => (a === 0 ? c : b),
      };
      return Math.fround(results[formula.primitive]());
    }
    default:
      return formula satisfies never;
  }
}

const names = Object.keys(primitives) as Primitive[];
const formulas = fc.letrec<{ formula: Formula }>((tie) => ({
  formula: fc.oneof(
    { maxDepth: 4, depthSize: 'max' },
    { arbitrary: fc.nat({ max: inputCount - 1 }).map(input), weight: 2 },
    { arbitrary: fc.constantFrom(0, -0, 1, -2.5, 1e-3, Infinity).map(constant), weight: 1 },
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.constantFrom(...names), tie('formula'), tie('formula'), tie('formula'))
        .map(([name, ...operands]) => apply(name, ...operands.slice(0, primitives[name].arity))),
    },
    {
      // Sums and differences with a product: a backend may compute them in one pass.
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom<Primitive>('add', 'sub'), tie('formula'), tie('formula'), tie('formula'), fc.nat(2))
        .map(([name, other, left, right, form]) => {
          const product = apply('mul', left, right);
          return apply(name, form === 0 ? product : other, form === 1 ? other : product);
        }),
    },
  ),
})).formula;

/** Runs a map over inputs, each contiguous, repeated along the axes in its mask, or transposed. */
function runMap(
  backend: HostBackend,
  call: Omit<MapCall, 'kind' | 'inputs' | 'output'>,
  patterns: readonly Pattern[],
): Float32Array {
  const size = sizeOf(call.shape);
  const inputs = patterns.map((pattern, index) => {
    const storage = backend.allocate(size);
    backend.upload(storage, inputValues(size, index));
    return { storage, strides: stridesOf(pattern, call.shape) };
  });
  const output = backend.allocate(size + 3);
  backend.upload(output, new Float32Array(size + 3).fill(7));
  runCall(backend, { kind: 'map', ...call, inputs, output: backend.slice(output, 0, size) });
  const values = backend.view(output).slice();
  for (const storage of [output, ...inputs.map((view) => view.storage)]) backend.free(storage);
  return values;
}

type Pattern = 'contiguous' | 'repeat first' | 'repeat last' | 'scalar' | 'transposed';

function stridesOf(pattern: Pattern, shape: readonly number[]): number[] {
  const strides = contiguousStrides(shape);
  switch (pattern) {
    case 'contiguous':
      return strides;
    case 'repeat first':
      return strides.map((stride, axis) => (axis === 0 ? 0 : stride));
    case 'repeat last':
      return strides.map((stride, axis) => (axis === shape.length - 1 ? 0 : stride));
    case 'scalar':
      return strides.map(() => 0);
    case 'transposed':
      return contiguousStrides(shape.toReversed()).reverse();
    default:
      return pattern satisfies never;
  }
}

function inputValues(size: number, index: number): Float32Array {
  return randomValues(size, 40 + index, 0.8).map((value) => value * 3);
}

const shapes = fc.constantFrom([1], [5], [300], [1027], [2, 3], [3, 1, 70], [4, 5, 6], [2, 300], [700, 2], [3, 0]);
const patterns = fc.constantFrom<Pattern>('contiguous', 'repeat first', 'repeat last', 'scalar', 'transposed');

describe.each(backends)('$name', (backend) => {
  it('gives the bits of the scalar functions, and writes nothing beyond its output', () => {
    fc.assert(
      fc.property(formulas, shapes, fc.array(patterns, { minLength: 3, maxLength: 3 }), (formula, shape, pattern) => {
        const computed = runMap(backend, { formula, shape }, pattern);
        const size = sizeOf(shape);
        const own = contiguousStrides(shape);
        const known = pattern.map((_kind, which) => inputValues(size, which));
        for (let element = 0; element < size; element++) {
          const indices = own.map((stride, axis) => Math.floor(element / stride) % shape[axis]!);
          const inputs = pattern.map((kind, which) => {
            const strides = stridesOf(kind, shape);
            return known[which]![indices.reduce((at, index, axis) => at + index * strides[axis]!, 0)]!;
          });
          const expected = evaluate(formula, inputs);
          if (!Object.is(computed[element], expected)) {
            throw new Error(`element ${element}: expected ${expected}, got ${computed[element]}`);
          }
        }
        expect([...computed.subarray(size)]).toEqual([7, 7, 7]);
      }),
      { numRuns: 150, seed: 9 },
    );
  });

  it('reads from an offset and writes into a part of its output, leaving the rest', () => {
    const [rows, columns] = [5, 301];
    const cases = [
      { shape: [rows, columns], offset: 3, strides: [columns + 9, 1] },
      { shape: [rows, columns], offset: 1, strides: [1, rows + 2] },
      { shape: [rows, 1, columns], offset: 0, strides: [2 * columns, 77, 2] },
      { shape: [2, 3, 4], offset: 5, strides: [40, 9, 2] },
    ];
    for (const { shape, offset, strides } of cases) {
      const size = sizeOf(shape);
      const place = (element: number): number =>
        contiguousStrides(shape).reduce(
          (at, stride, axis) => at + (Math.floor(element / stride) % shape[axis]!) * strides[axis]!,
          offset,
        );
      const [source, target] = [backend.allocate(place(size - 1) + 1), backend.allocate(place(size - 1) + 4)];
      const values = randomValues(source.length, 5);
      backend.upload(source, values);
      const run = (call: Omit<MapCall, 'kind' | 'shape' | 'formula'>): Float32Array => {
        backend.upload(target, new Float32Array(target.length).fill(7));
        runCall(backend, { kind: 'map', shape, formula: apply('neg', input(0)), ...call });
        return backend.view(target).slice();
      };
      const contiguous = { storage: source, strides: contiguousStrides(shape) };
      const written = run({ inputs: [contiguous], output: target, outputLayout: { offset, strides } });
      const expected = new Float32Array(target.length).fill(7);
      for (let element = 0; element < size; element++) expected[place(element)] = -values[element]!;
      expect(written).toEqual(expected);
      const read = run({ inputs: [{ storage: source, offset, strides }], output: target });
      for (let element = 0; element < size; element++) expect(read[element]).toBe(-values[place(element)]!);
      expect([...read.subarray(size, size + 1)]).toEqual([7]);
      backend.free(source);
      backend.free(target);
    }
  });

  it('works in place', () => {
    const storage = backend.allocate(1000);
    const values = randomValues(1000, 3);
    backend.upload(storage, values);
    const formula = apply('add', apply('mul', input(0), input(0)), input(0));
    const view = { storage, strides: [1] };
    runCall(backend, { kind: 'map', formula, shape: [1000], inputs: [view], output: storage });
    expect(backend.view(storage)).toEqual(values.map((value) => Math.fround(value * value) + value));
    backend.free(storage);
  });
});

it('refuses the wrong number of operands', () => {
  expect(() => apply('add', input(0))).toThrow('formula: add takes 2 operands, got 1');
});
