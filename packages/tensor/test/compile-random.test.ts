/** Compiled plans of random programs have the bits of eager execution. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  broadcastTo,
  compile,
  concat,
  conv2d,
  div,
  exp,
  fromArray,
  gelu,
  greater,
  indexSelect,
  log,
  logSoftmax,
  matmul,
  max,
  mean,
  mul,
  neg,
  pad,
  permute,
  relu,
  reshape,
  sigmoid,
  slice,
  softmax,
  stack,
  sub,
  sum,
  type Tensor,
  tanh,
  tidy,
  transpose,
  valueAndGrad,
  where,
} from '../src/index.ts';
import { sameShape } from '../src/shape.ts';
import { openAll, randomStream, valuesIn } from './support.ts';

const backends = await openAll();

/** Runs a random straight-line program over [4, 4] values: broadcasts, reductions, transposes, products, gradients. */
function randomProgram(inputs: Tensor[], choices: readonly number[], seed: number): Tensor[] {
  const random = randomStream(seed);
  const pool = [...inputs];
  const any = (): Tensor => pool[Math.floor(random() * pool.length)]!;
  const twice = (half: Tensor): Tensor => concat([half, half]);
  const any16 = (): Tensor => pool.filter((tensor) => tensor.shape.length === 2 && tensor.size === 16)[0]!;
  const square = (): Tensor => pool.filter((tensor) => tensor.shape.length === 2 && tensor.size === 16).at(-1)!;
  const steps: (() => Tensor)[] = [
    () => add(any(), any()),
    () => sub(any(), square()),
    () => mul(any(), any()),
    () => div(any(), 3),
    () => relu(any()),
    () => exp(neg(mul(any(), 0.1))),
    () => log(add(mul(any(), any()), 2)),
    () => matmul(square(), square()),
    () => transpose(square()),
    () => matmul(transpose(square()), inputs[0]!),
    () => matmul(broadcastTo(inputs[3]!, [4, 4]), square()),
    () => sum(square(), { axes: [Math.floor(random() * 2)] }),
    () => mean(square(), { axes: [1], keepAxes: true }),
    () => reshape(reshape(square(), [16]), [4, 4]),
    () => valueAndGrad((x) => sum(mul(relu(x!), any())), [square()]).gradients[0]!,
    () => concat([slice(square(), [{ start: 1 }]), slice(square(), [{ end: 1 }])]),
    () =>
      pad(
        slice(square(), [{}, { start: 1, end: 3 }]),
        [
          [0, 0],
          [1, 1],
        ],
        0.5,
      ),
    () => reshape(slice(stack([square(), square()], 1), [{}, { start: 1 }]), [4, 4]),
    () => reshape(matmul(reshape(square(), [2, 2, 4]), square()), [4, 4]),
    () => twice(reshape(matmul(reshape(square(), [2, 2, 4]), reshape(square(), [2, 4, 2])), [2, 4])),
    () => twice(matmul(reshape(transpose(slice(square(), [{ end: 2 }])), [2, 4]), square())),
    () => where(greater(square(), 0.3), any(), square()),
    () => indexSelect(square(), fromArray(square().backend, [3, 0, 0, 1]), Math.floor(random() * 2)),
    () => softmax(square(), { axis: Math.floor(random() * 2) }),
    () => max(square(), { axes: [Math.floor(random() * 2)], keepAxes: true }),
    () => tanh(mul(square(), sigmoid(any()))),
    () => valueAndGrad((x) => sum(mul(concat([slice(x!, [{ step: 2 }]), gelu(x!)]), 0.5)), [square()]).gradients[0]!,
    () => valueAndGrad((x) => sum(mul(logSoftmax(matmul(x!, any16())), any16())), [square()]).gradients[0]!,
  ];
  for (const choice of choices) {
    const result = steps[choice % steps.length]!();
    // Keeps magnitudes small over many products.
    pool.push(result.size === 16 ? mul(reshape(result, [4, 4]), 0.25) : result);
  }
  return pool.slice(-3);
}

/** Sizes for which a product may have one row, one column or no values, and thus the shape of its own bias. */
const sizes = [1, 1, 4, 0] as const;

/** Runs a random program that reuses its values: as both operands, as their own bias, twice as an output. */
function reusingProgram([x, w, b]: Tensor[], seed: number): Tensor[] {
  const random = randomStream(seed);
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
  const [rows, width] = x!.shape as [number, number];
  const [, columns] = w!.shape as [number, number];
  const products: (() => Tensor)[] = [
    () => matmul(x!, w!),
    () => matmul(w!, x!, { transposeLeft: true, transposeRight: true }),
    () => transpose(matmul(x!, w!)),
    () => conv2d(reshape(x!, [rows, 1, 1, width]), reshape(w!, [1, 1, width, columns])),
    () => reshape(conv2d(reshape(x!, [rows, 1, 1, width]), reshape(w!, [1, 1, width, columns])), [rows, columns]),
    () => reshape(matmul(x!, w!), [1, rows * columns]),
  ];
  const pool = [pick(products)()];
  const fitting = (value: Tensor): Tensor => pick(pool.filter(({ shape }) => sameShape(shape, value.shape)));
  const uses: ((value: Tensor) => Tensor)[] = [
    (value) => add(value, value),
    (value) => add(value, fitting(value)),
    (value) => relu(add(fitting(value), value)),
    (value) => relu(value),
    (value) => mul(add(value, value), value),
    (value) => sub(value, relu(value)),
    (value) => add(value, reshape(reshape(value, [value.size]), value.shape)),
    (value) => add(value, permute(permute(value, reversed(value)), reversed(value))),
    (value) => (value.shape.at(-1) === columns ? relu(add(value, b!)) : add(value, 1)),
    (value) => add(value, sum(value, { axes: [0], keepAxes: true })),
    (value) => concat([value, value]),
    (value) => slice(concat([slice(value, [{ end: 0 }]), value, value]), [{ end: value.shape[0]! }]),
    (value) => valueAndGrad((leaf) => sum(mul(add(leaf!, leaf!), leaf!)), [value]).gradients[0]!,
    () => pick(products)(),
  ];
  for (let step = pick([1, 1, 2, 3, 5]); step > 0; step--) pool.push(pick(uses)(pool.at(pick([0, -1, -1]))!));
  return pick([[pool.at(-1)!], [pool.at(-1)!], [...pool.slice(-2), pick(pool), pool.at(-1)!]]);
}

/** Returns the `into` option that writes output number `index` to the storage of a tensor. */
function into(index: number, { storage }: Tensor) {
  return [...new Array<undefined>(index).fill(undefined), storage];
}

function reversed({ shape }: Tensor): number[] {
  return [...shape.keys()].reverse();
}

describe.each(backends)('$name', (backend) => {
  const read = (tensor: Tensor): Float32Array => backend.view(tensor.storage).slice();

  /** Expects two runs of a plan to have the bits of eager execution; returns the plan and these values. */
  const expectEager = (body: (...inputs: Tensor[]) => Tensor[], inputs: readonly Tensor[]) => {
    const eager = tidy(() => body(...inputs).map(read));
    const plan = compile(backend, body, inputs);
    for (let run = 0; run < 2; run++) {
      plan.run();
      expect(plan.outputs.map(read)).toEqual(eager);
    }
    return { plan, eager };
  };

  it('gives the bits of eager execution for random programs', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 25 }), fc.nat(), (choices, seed) => {
        const body = (...inputs: Tensor[]): Tensor[] => randomProgram(inputs, choices, seed);
        const inputs = [[4, 4], [4, 4], [4], [4, 1], []].map((shape, index) =>
          fromArray(backend, valuesIn('positive', shape, seed + index, 4), shape),
        );
        const { plan } = expectEager(body, inputs);
        for (const each of [plan, ...inputs]) each.dispose();
      }),
      { numRuns: 250, seed: 6 },
    );
  });

  it('gives the bits of eager execution for programs that use their values twice, and in place', () => {
    const size = fc.constantFrom(...sizes);
    fc.assert(
      fc.property(size, size, size, fc.nat(), (rows, width, columns, seed) => {
        const body = (...inputs: Tensor[]): Tensor[] => reusingProgram(inputs, seed);
        const shapes = [[rows, width], [width, columns], [columns]];
        const inputs = shapes.map((shape, index) => fromArray(backend, valuesIn('any', shape, seed + index, 4), shape));
        const { plan, eager } = expectEager(body, inputs);
        // An output that overwrites the first input must be written after every read of the input's old values.
        const target = eager.findIndex((values) => values.length === rows * width);
        const updated = target < 0 ? undefined : compile(backend, body, inputs, { into: into(target, inputs[0]!) });
        updated?.run();
        expect(updated?.outputs.map(read) ?? eager).toEqual(eager);
        for (const each of [plan, updated, ...inputs]) each?.dispose();
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});
