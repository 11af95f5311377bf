/** Benchmark of single operations in shapes that suit vectors badly, next to PyTorch. */
import { version } from '@lockstep/command';
import {
  add,
  argmax,
  type Backend,
  compile,
  concat,
  dot,
  type HostBackend,
  matmul,
  max,
  mul,
  openBackend,
  pow,
  randomStream,
  type Shape,
  sizeOf,
  softmax,
  sum,
  type Tensor,
  tanh,
} from '@lockstep/tensor';
import { type Absent, type Benchmark, type Case, type Implementation, relativeDistance } from '../harness.ts';
import { pytorchInstallation, startPython, valuesIn } from '../peers/python.ts';
import { timeSteps } from '../work.ts';

interface Corner {
  readonly name: string;
  /** Shapes of the operands. */
  readonly a: Shape;
  readonly b?: Shape;
  readonly compute: (a: Tensor, b: Tensor) => Tensor;
  /** The same in Python, in terms of the tensors a and b. */
  readonly python: string;
}

const million = 2 ** 20;

const corners: readonly Corner[] = [
  { name: 'matrix times vector', a: [1024, 1024], b: [1024], compute: matmul, python: 'a @ b' },
  { name: 'matrix times one column', a: [8192, 64], b: [64, 1], compute: matmul, python: 'a @ b' },
  {
    name: 'transposed matrix times one column',
    a: [1024, 1024],
    b: [1024, 1],
    compute: (a, b) => matmul(a, b, { transposeLeft: true }),
    python: 'a.T @ b',
  },
  { name: 'vector times matrix', a: [1024], b: [1024, 1024], compute: matmul, python: 'a @ b' },
  {
    name: 'one sample of 65,536 values, 128 units',
    a: [1, 65_536],
    b: [65_536, 128],
    compute: matmul,
    python: 'a @ b',
  },
  { name: 'outer product', a: [1024, 1], b: [1, 1024], compute: matmul, python: 'a @ b' },
  { name: 'dot product', a: [million], b: [million], compute: dot, python: 'a @ b' },
  { name: 'pow', a: [million], b: [million], compute: (a, b) => pow(a, b), python: 'a ** b' },
  { name: 'pow of 2.5', a: [million], compute: (a) => pow(a, 2.5), python: 'a ** 2.5' },
  { name: 'tanh', a: [million], compute: (a) => tanh(a), python: 'a.tanh()' },
  { name: 'softmax of 100,000 columns', a: [10, 100_000], compute: (a) => softmax(a), python: 'a.softmax(-1)' },
  { name: 'max over an axis of 3', a: [100_000, 3], compute: (a) => max(a, { axes: [1] }), python: 'a.amax(1)' },
  { name: 'argmax over an axis of 10', a: [100_000, 10], compute: (a) => argmax(a, 1), python: 'a.argmax(1)' },
  { name: 'sum over an axis of 3', a: [100_000, 3], compute: (a) => sum(a, { axes: [1] }), python: 'a.sum(1)' },
  { name: '[n, 3] + [n, 1]', a: [100_000, 3], b: [100_000, 1], compute: (a, b) => add(a, b), python: 'a + b' },
  { name: '[n, 3] x [3]', a: [100_000, 3], b: [3], compute: (a, b) => mul(a, b), python: 'a * b' },
  {
    name: 'concat along rows',
    a: [512, 1024],
    b: [512, 1024],
    compute: (a, b) => concat([a, b]),
    python: 'torch.cat([a, b])',
  },
  {
    name: 'concat of 3 and 1 columns',
    a: [100_000, 3],
    b: [100_000, 1],
    compute: (a, b) => concat([a, b], 1),
    python: 'torch.cat([a, b], 1)',
  },
];

function shapesOf({ a, b }: Corner): Shape[] {
  return b === undefined ? [a] : [a, b];
}

/** Values in (0, 1). */
function operandsOf(corner: Corner): Float32Array[] {
  const random = randomStream(1);
  return shapesOf(corner).map((shape) => Float32Array.from({ length: sizeOf(shape) }, () => random()));
}

function planOf(backend: Backend, corner: Corner, values: readonly Float32Array[]) {
  const plan = compile(backend, (...tensors) => corner.compute(tensors[0]!, tensors[1]!), shapesOf(corner));
  for (const [index, { storage }] of plan.inputs.entries()) backend.upload(storage, values[index]!);
  return plan;
}

async function openLockstep(corner: Corner): Promise<Implementation> {
  const backend = (await openBackend('cpu')).backend as HostBackend;
  const plan = planOf(backend, corner, operandsOf(corner));
  return {
    version,
    notes: [`a plan of one op, vectors of ${backend.vectorBits} bits, 1 thread`],
    run: (steps) => timeSteps(steps, plan.run),
    result: () => backend.download(plan.output),
    close: async () => plan.dispose(),
  };
}

/** One process for all cases, since Python takes seconds to start. It starts on first use. */
let pytorch: ReturnType<typeof startPython> | undefined;

async function openPyTorch(corner: Corner): Promise<Implementation | Absent> {
  pytorch ??= startPython('pytorch_expression.py', { installation: pytorchInstallation });
  const python = await pytorch;
  if ('absent' in python) return python;
  const bytes = operandsOf(corner).map(({ buffer }) => new Uint8Array(buffer));
  await python.ask({ do: 'open', python: corner.python, shapes: shapesOf(corner) }, ...bytes);
  return {
    version: python.version,
    notes: ['eager, 1 thread'],
    run: async (steps) => (await python.ask({ do: 'run', steps })).ms ?? Number.NaN,
    result: async () => valuesIn(await python.ask({ do: 'result' })),
  };
}

async function caseOf(corner: Corner): Promise<Case> {
  const { name, python } = corner;
  const plan = planOf((await openBackend('reference')).backend, corner, operandsOf(corner));
  plan.run();
  const expected = (await plan.outputs[0]!.values()).slice();
  plan.dispose();
  const values = operandsOf(corner).reduce((size, { length }) => size + length, expected.length);
  return {
    name: `${name}: ${python}, ${shapesOf(corner)
      .map((shape) => `[${shape}]`)
      .join(', ')}`,
    workPerStep: { amount: values / 1e6, unit: 'million values' },
    checkedSteps: 1,
    tolerance: 1e-5,
    distance: (result) => relativeDistance(result, expected),
    candidates: [
      { name: 'Lockstep', open: () => openLockstep(corner) },
      { name: 'PyTorch', open: () => openPyTorch(corner) },
    ],
  };
}

export default [
  {
    name: 'corners',
    title: 'Single operations in shapes that vectors suit badly, against PyTorch',
    method: [
      'Each on values in (0, 1) that are ready in memory; the values that it reads and writes are counted. One thread.',
      '"Off by" is the relative distance from plain loops in float32.',
    ],
    cases: () => Promise.all(corners.map(caseOf)),
    async close() {
      const python = await pytorch;
      pytorch = undefined;
      if (python && !('absent' in python)) await python.close();
    },
  },
] satisfies readonly Benchmark[];
