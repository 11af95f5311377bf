/** The tape of a forward pass: repeated with the engine's own ops, it gives the bits of the forward pass. */
import * as ops from '@lockstep/tensor';
import { fromArray, openBackend, type Shape, type Tensor } from '@lockstep/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createMicrobatchGradient,
  forward,
  initialize,
  layers,
  type Model,
  type OpTable,
  parameterLayout,
  recordLoss,
  recordPrediction,
  replay,
} from '../src/index.ts';
import { causalModel, useCausalLayer } from './causal-layer.ts';

const { backend } = await openBackend('reference');
const table = {
  ...ops,
  constant: (values: Float32Array, shape: Shape) => fromArray(backend, values, shape),
} as unknown as OpTable<Tensor>;

function parametersOf(model: Model): Tensor[] {
  const weights = initialize(model, 3);
  return parameterLayout(model).map(({ offset, size, shape }) =>
    fromArray(backend, weights.subarray(offset, offset + size), shape),
  );
}

const read = (tensor: Tensor | undefined): Float32Array => backend.view(tensor!.storage).slice();

/** Constants of [positions, features], or of fewer axes, which operands broadcast. */
const constants: Readonly<Record<string, (like: Tensor) => Tensor>> = {
  array: ({ backend: own, shape }) =>
    fromArray(
      own,
      Float32Array.from({ length: shape[2]! }, (_, at) => at - 0.5),
    ),
  filled: ({ backend: own, shape }) => ops.full(own, [shape[1]!, 1], 1.5),
  drawn: ({ backend: own, shape }) => ops.uniform(own, shape.slice(1), 7),
  computed: ({ backend: own, shape }) => ops.exp(ops.reshape(ops.arange(own, shape[1]!), [-1, 1])),
  'for each sample': ({ backend: own, shape }) => ops.mul(ops.ones(own, shape), 0.5),
};

const step = fc.record({
  op: fc.constantFrom(ops.add, ops.sub, ops.mul, ops.maximum),
  constant: fc.constantFrom(...Object.keys(constants)),
  isLeft: fc.boolean(),
});

test('constants of a layer, added, subtracted and multiplied in any order, are on the tape', () => {
  const run = fc.property(
    fc.array(step, { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 1, max: 3 }),
    (steps, n) => {
      const layer = (_: unknown, x: Tensor): Tensor =>
        steps.reduce((value, { op, constant, isLeft }) => {
          const other = constants[constant]!(x);
          return isLeft ? op(other, value) : op(value, other);
        }, x);
      const model = { ...causalModel, layers: [{ type: 'drawn' }, ...causalModel.layers.toSpliced(1, 1)] } as Model;
      Object.assign(layers, { drawn: { schema: layers.relu.schema, forward: layer } });
      try {
        const tape = recordPrediction(model, n);
        expect(tape.ops.map(({ name }) => name)).toEqual([
          ...steps.map(({ op }) => op.opName),
          ...['matmul', 'add', 'reshape', 'matmul', 'add'],
        ]);
        const x = ops.uniform(backend, [n, 4, 3], 5);
        const parameters = parametersOf(model);
        const [output] = replay(tape, table, [x, ...parameters]);
        expect(read(output)).toEqual(read(forward(model, x, parameters)));
      } finally {
        Reflect.deleteProperty(layers, 'drawn');
      }
    },
  );
  fc.assert(run, { numRuns: 40 });
});

describe('a causal layer', () => {
  useCausalLayer();

  test('gives the same loss on its tape as in the plan that trains', () => {
    const n = 5;
    const values = Float32Array.from({ length: 12 * n }, (_, at) => ((at * 37) % 100) / 100 - 0.5);
    const labels = Uint16Array.from({ length: n }, (_, at) => at % 3);
    const weights = fromArray(backend, initialize(causalModel, 3));
    const plan = createMicrobatchGradient(backend, causalModel, n, weights.storage);
    plan.run(values, labels);
    const inputs = [fromArray(backend, values, [n, 4, 3]), fromArray(backend, Float32Array.from(labels))];
    const tape = recordLoss(causalModel, n, { dtype: 'u16', shape: [], role: 'index' });
    const outputs = replay(tape, table, [...inputs, undefined, undefined, ...parametersOf(causalModel)]);
    expect(outputs.flatMap((output) => [...read(output)])).toEqual([...backend.view(plan.output).slice(-2)]);
    plan.dispose();
  });

  test('whose output is a constant gives the constant', () => {
    const mask = Float32Array.of(1, 2, 3);
    const forward = (_: unknown, x: Tensor): Tensor => fromArray(x.backend, mask, [1, 3]);
    Object.assign(layers, { causal: { schema: layers.relu.schema, forward } });
    const tape = recordPrediction({ name: 'constant', input: [3], layers: causalModel.layers.slice(1, 2) }, 1);
    expect(tape.ops).toEqual([]);
    expect(replay(tape, table, [undefined]).map(read)).toEqual([mask]);
  });
});
