/** Example calls of each op: all backends must agree on them, and their gradients must match finite differences. */
import type { MatmulOptions, Pair, Range, ReduceOptions, Shape, Tensor, WindowOptions } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { binary, type Call, call, comparison, type Example, examples, unary, unaryWith } from './examples.ts';
import type { Domain } from './values.ts';

/** Names of the exports that are ops, not functions made of ops. */
export type OpName = {
  [Name in keyof typeof ops]: (typeof ops)[Name] extends { readonly opName: string } ? Name : never;
}[keyof typeof ops];

function extreme(op: (x: Tensor, options: ReduceOptions) => Tensor): Example[] {
  const calls: Call<ReduceOptions>[] = [
    call({}, [2, 3]),
    call({}, []),
    call({}, [1]),
    call({}, [37]),
    call({ axes: [1] }, [0, 3]),
    call({ axes: [0] }, [5, 9]),
    call({ axes: [-1], keepAxes: true }, [5, 3]),
    call({ axes: [0, 2] }, [2, 3, 4]),
    call({ axes: [0, 1, 3], keepAxes: true }, [2, 1, 4, 3]),
  ];
  return examples(([x], options) => op(x, options), calls, ['distinct']);
}

function pool(
  op: (images: Tensor, window: Pair, options: WindowOptions) => Tensor,
  domains: readonly Domain[] = [],
): Example[] {
  const calls: Call<WindowOptions & { readonly window: Pair }>[] = [
    call({ window: 2 }, [2, 4, 6, 3]),
    call({ window: 3, stride: 2, padding: 1 }, [1, 5, 7, 4]),
    call({ window: [2, 3], stride: 1 }, [2, 5, 5, 9]),
    call({ window: [4, 2], stride: [1, 3], padding: [2, 1] }, [1, 6, 4, 1]),
    call({ window: 1, stride: 2 }, [2, 5, 6, 2]),
    call({ window: 1 }, [1, 1, 1, 1]),
    call({ window: 2 }, [0, 4, 4, 3]),
    call({ window: 2 }, [2, 4, 4, 0]),
  ];
  return examples(([x], { window, ...options }) => op(x, window, options), calls, domains);
}

function normalized(op: (x: Tensor, options: ops.SoftmaxOptions) => Tensor): Example[] {
  const calls: Call<ops.SoftmaxOptions>[] = [
    call({ axis: 0 }, [5]),
    call({ axis: 1 }, [4, 10]),
    call({ axis: 0, temperature: 0.5 }, [4, 10]),
    call({ axis: 1, temperature: 2 }, [2, 3, 5]),
    call({ temperature: 0.7 }, [3, 17]),
    call({}, [1]),
    call({}, [0, 4]),
  ];
  return examples(([x], options) => op(x, options), calls);
}

const causalCalls: Call<ops.CausalSoftmaxOptions>[] = [
  call({ causal: true }, [2, 3, 7, 7]),
  call({ causal: true, temperature: 3 }, [2, 5, 9]),
  call({ causal: true }, [1, 20]),
  call({ causal: true }, [0, 4, 4]),
];

const matmulCalls: Call<MatmulOptions>[] = [
  ...[false, true].flatMap((transposeLeft) =>
    [false, true].flatMap((transposeRight) =>
      ['3 4 5', '1 1 1', '7 1 9', '1 13 1', '0 3 2', '3 0 2', '2 3 0'].map((sizes) => {
        const [m, k, n] = sizes.split(' ').map(Number) as [number, number, number];
        return call(
          { transposeLeft, transposeRight },
          transposeLeft ? [k, m] : [m, k],
          transposeRight ? [n, k] : [k, n],
        );
      }),
    ),
  ),
  call({}, [2, 3, 4], [2, 4, 5]),
  call({}, [2, 3, 4], [4, 2]),
  call({ transposeRight: true }, [2, 3, 4], [2, 4]),
  call({}, [3, 4], [2, 4, 5]),
  call({ transposeLeft: true, transposeRight: true }, [2, 1, 4, 3], [3, 5, 4]),
  call({ transposeLeft: true }, [2, 4, 3], [4, 5]),
  call({}, [1, 3, 2], [2, 2, 3]),
  call({}, [0, 3, 4], [4, 5]),
  call({}, [0, 3, 4], [1, 4, 5]),
  call({ transposeLeft: true, microbatches: 2 }, [6, 3], [6, 5]),
  call({ transposeLeft: true, microbatches: 7 }, [7, 9], [7, 8]),
  call({ transposeLeft: true, microbatches: 3 }, [12, 5], [12, 4]),
  call({ transposeLeft: true, microbatches: 3 }, [0, 3], [0, 2]),
  call({}, [4], [4, 3]),
  call({}, [2, 3, 4], [4]),
  call({}, [5], [5]),
];

const convolutionCalls: Call<WindowOptions>[] = [
  call({}, [2, 5, 6, 3], [3, 3, 3, 4]),
  call({ padding: 1 }, [2, 5, 5, 1], [3, 3, 1, 9]),
  call({ stride: 2, padding: 1 }, [1, 7, 6, 2], [3, 2, 2, 5]),
  call({ stride: [3, 2], padding: [0, 2] }, [3, 4, 9, 4], [1, 4, 4, 8]),
  call({ padding: 1 }, [2, 5, 5, 17], [3, 3, 17, 27]),
  call({ padding: [3, 4] }, [1, 2, 3, 5], [2, 3, 5, 1]),
  call({ stride: 2 }, [2, 3, 3, 2], [1, 1, 2, 3]),
  call({}, [1, 1, 1, 1], [1, 1, 1, 1]),
  call({ padding: 1 }, [0, 5, 5, 2], [3, 3, 2, 4]),
  call({}, [2, 3, 3, 0], [2, 2, 0, 3]),
  call({}, [2, 3, 3, 2], [2, 2, 2, 0]),
];

const sumCalls: Call<ops.SumOptions>[] = [
  call({}, [2, 3]),
  call({}, []),
  call({}, [0]),
  call({}, [37]),
  call({ axes: [1] }, [3, 0]),
  call({ axes: [0] }, [5, 3]),
  call({ axes: [-1], keepAxes: true }, [5, 3]),
  call({ axes: [0, 2] }, [2, 3, 4]),
  call({ axes: [1], keepAxes: true }, [2, 3, 4]),
  call({ axes: [0, 1, 3], keepAxes: true }, [2, 1, 4, 3]),
  call({ microbatches: 3 }, [60]),
  call({ axes: [0], microbatches: 7 }, [14, 5]),
  call({ axes: [0, 2], microbatches: 6 }, [12, 2, 3]),
  call({ axes: [0], microbatches: 2 }, [0, 3]),
];

const sliceCalls: Call<readonly Range[]>[] = [
  call([{ start: 1, step: 2 }], [7]),
  call([{ start: 1, end: 3 }], [4, 5]),
  call([{}, { start: 2, step: 2 }], [4, 5]),
  call([{ step: 2 }, { start: 3 }, { start: 1, end: 4 }], [3, 4, 5]),
  call([{ start: 3 }], [3, 4]),
  call([{}], [0]),
  call([{}], [1]),
];

const placeCalls: Call<{ readonly shape: Shape; readonly ranges: readonly Range[]; readonly value: number }>[] = [
  call({ shape: [7], ranges: [{ start: 1, step: 2 }], value: 0 }, [3]),
  call({ shape: [5, 5], ranges: [{ start: 1, step: 2 }], value: 3 }, [2, 5]),
  call({ shape: [4, 2, 8], ranges: [{ start: 1, step: 2 }, {}, { start: 1, step: 3 }], value: -1 }, [2, 2, 3]),
  call({ shape: [2, 3], ranges: [{ start: 1, end: 1 }], value: 2 }, [0, 3]),
  call({ shape: [1], ranges: [], value: 0 }, [1]),
];

const permuteCalls: Call<readonly number[]>[] = [
  call([1, 0], [3, 5]),
  call([1, 0], [1, 4]),
  call([1, 0], [9, 17]),
  call([2, 0, 1], [2, 3, 4]),
  call([0, 3, 1, 2], [2, 3, 1, 5]),
  call([1, 0], [0, 3]),
  call([1, 0], [1, 1]),
  call([0], [1]),
];

const gatherCalls = [
  call(0, [5], [3]),
  call(1, [2, 5], [2, 3]),
  call(1, [3, 4, 3], [3, 2, 3]),
  call(0, [6, 3], [5, 3]),
  call(0, [0], [0]),
  call(0, [1], [1]),
  call(-1, [4, 5], [3, 2]),
];

const indexSelectCalls = [
  call(0, [7, 5], [4]),
  call(1, [2, 5, 4], [6]),
  call(0, [3, 2], [0]),
  call(0, [1], [1]),
  call(0, [0], [0]),
  call(-1, [4, 5], [2, 3]),
];

const scatterAddCalls = [
  call({ axis: 0, length: 6 }, [5], [5]),
  call({ axis: 0, length: 3 }, [4, 3], [4, 3]),
  call({ axis: 0, length: 20 }, [4, 17], [4]),
  call({ axis: 1, length: 3 }, [2, 4, 3], [4]),
  call({ axis: -1, length: 6 }, [3, 4], [4]),
  call({ axis: -2, length: 5 }, [2, 4, 3], [2, 4, 3]),
  call({ axis: 0, length: 3 }, [0, 2], [0]),
  call({ axis: 0, length: 1 }, [1], [1]),
];

const normCalls: Call<ReduceOptions>[] = [
  call({}, [5]),
  call({ axes: [1] }, [4, 3]),
  call({ axes: [0], keepAxes: true }, [4, 3]),
  call({ axes: [0, 2] }, [2, 3, 4]),
  call({ axes: [1] }, [0, 3]),
  call({}, [1]),
];

/** Does not compile if an op is missing or a key is not an op. */
export const opExamples = {
  add: binary(ops.add),
  sub: binary(ops.sub),
  mul: binary(ops.mul),
  div: binary(ops.div, ['any', 'away from zero']),
  neg: unary(ops.neg),
  exp: unary(ops.exp),
  log: unary(ops.log, 'positive'),
  sqrt: unary(ops.sqrt, 'positive'),
  abs: unary(ops.abs, 'away from zero'),
  pow: binary(ops.pow, ['positive', 'any']),
  maximum: binary(ops.maximum, ['on tenths', 'between tenths']),
  minimum: binary(ops.minimum, ['on tenths', 'between tenths']),
  clamp: unaryWith(ops.clamp, [{ low: -0.5, high: 0.3 }, { low: 0 }, { high: 0.2 }], 'between tenths'),
  equal: comparison(ops.equal),
  notEqual: comparison(ops.notEqual),
  greater: comparison(ops.greater),
  greaterEqual: comparison(ops.greaterEqual),
  less: comparison(ops.less),
  lessEqual: comparison(ops.lessEqual),
  where: examples(
    ([condition, x, y]) => ops.where(condition, x, y),
    [
      call(undefined, [2, 3], [2, 3], [2, 3]),
      call(undefined, [4, 1], [3], []),
      call(undefined, [], [5], [2, 1]),
      call(undefined, [1], [1], [1]),
      call(undefined, [0, 3], [3], [1]),
    ],
    ['class index'],
  ),
  relu: unary(ops.relu, 'away from zero'),
  reluGrad: binary(ops.reluGrad, ['any', 'away from zero']),
  leakyRelu: unaryWith(ops.leakyRelu, [0.01, 0], 'away from zero'),
  softsign: unary(ops.softsign, 'away from zero'),
  tanh: unary(ops.tanh),
  sigmoid: unary(ops.sigmoid),
  softplus: unary(ops.softplus),
  normalCdf: unary(ops.normalCdf),
  gelu: unaryWith(ops.gelu, [{}, { approximate: 'tanh' as const }], 'any'),
  sum: examples(([x], options) => ops.sum(x, options), sumCalls),
  max: extreme(ops.max),
  min: extreme(ops.min),
  argmax: examples(
    ([x], axis: number | undefined) => ops.argmax(x, axis),
    [call(1, [4, 10]), call(0, [4, 10]), call(-2, [2, 3, 5]), call(1, [0, 3]), call(0, [1]), call(undefined, [3, 5])],
    ['distinct'],
  ),
  reshape: examples(([x], shape) => ops.reshape(x, shape), [call([3, 4], [2, 6]), call([], [1]), call([2, 0], [0, 3])]),
  permute: examples(([x], order) => ops.permute(x, order), permuteCalls),
  broadcastTo: examples(
    ([x], shape) => ops.broadcastTo(x, shape),
    [call([2, 3], [3]), call([4], []), call([2, 5], [2, 1]), call([0, 3], [1, 3]), call([2, 0], [0]), call([1], [1])],
  ),
  slice: examples(([x], ranges) => ops.slice(x, ranges), sliceCalls),
  place: examples(([x], { shape, ranges, value }) => ops.place(x, shape, ranges, value), placeCalls),
  concat: examples(
    (tensors, axis) => ops.concat(tensors, axis),
    [
      call(0, [2], [3], [1]),
      call(1, [2, 3], [2, 1]),
      call(1, [2, 3, 2], [2, 0, 2], [2, 4, 2]),
      call(0, [0, 3], [2, 3]),
      call(1, [2, 0], [2, 0]),
      call(0, [1]),
    ],
  ),
  gather: examples(([x, indices], axis) => ops.gather(x, axis, indices), gatherCalls, ['any', 'class index']),
  indexSelect: examples(([x, indices], axis) => ops.indexSelect(x, indices, axis), indexSelectCalls, [
    'any',
    'class index',
  ]),
  scatterAdd: examples(
    ([values, indices], { axis, length }) => ops.scatterAdd(values, indices, axis, length),
    scatterAddCalls,
    ['any', 'class index'],
  ),
  matmul: examples(([left, right], options) => ops.matmul(left, right, options), matmulCalls),
  norm: examples(([x], options) => ops.norm(x, options), normCalls, ['away from zero']),
  softmax: [...normalized(ops.softmax), ...examples(([x], options) => ops.softmax(x, options), causalCalls)],
  logSoftmax: normalized(ops.logSoftmax),
  layerNorm: examples(
    ([x], options) => ops.layerNorm(x, options),
    [
      call({}, [3, 5]),
      call({ epsilon: 0.5 }, [2, 3, 20]),
      call({ epsilon: 0.1 }, [7]),
      call({}, [0, 4]),
      call({ epsilon: 1 }, [1, 1]),
    ],
  ),
  softmaxCrossEntropy: examples(
    ([logits, labels]) => ops.softmaxCrossEntropy(logits, labels),
    [
      [4, 10],
      [1, 1],
      [3, 2],
      [0, 5],
      [5, 17],
    ].map((shape) => call(undefined, shape, [shape[0]!])),
    ['any', 'class index'],
  ),
  randomUniform: examples(
    ([samples, key], { columns, stream }) => ops.randomUniform({ samples, key, stream }, columns),
    [
      call({ columns: 7, stream: 0 }, [3], [4]),
      call({ columns: 20, stream: 4294967295 }, [2], [4]),
      call({ columns: 1, stream: 1 }, [1], [4]),
      call({ columns: 3, stream: 1 }, [0], [4]),
    ],
    ['class index', 'class index'],
  ),
  dropout: examples(
    ([x, samples, key], rate) => ops.dropout(x, rate, { samples, key }),
    [0.5, 0].flatMap((rate) =>
      [[2, 3], [17], [0, 3], [1], [4, 2, 5]].map((shape) => call(rate, shape, [shape[0]!], [4])),
    ),
    ['any', 'class index', 'class index'],
  ),
  conv2d: examples(([images, kernel], options) => ops.conv2d(images, kernel, options), convolutionCalls),
  maxPool2d: pool(ops.maxPool2d, ['distinct']),
  sumPool2d: pool(ops.sumPool2d),
} satisfies Record<OpName, readonly Example[]>;

export const opNames = Object.keys(opExamples) as OpName[];
