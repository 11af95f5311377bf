/** All ops, and functions made of ops: the package exports them, and the op tests iterate over them. */

export {
  broadcastTo,
  concat,
  gather,
  indexSelect,
  oneHot,
  pad,
  permute,
  place,
  type Range,
  reshape,
  scatterAdd,
  slice,
  stack,
  transpose,
} from './arrange.ts';
export { dropout, type RandomKeys, randomKey, randomUniform } from './dropout.ts';
export {
  abs,
  add,
  clamp,
  div,
  equal,
  exp,
  gelu,
  greater,
  greaterEqual,
  leakyRelu,
  less,
  lessEqual,
  log,
  maximum,
  minimum,
  mul,
  neg,
  normalCdf,
  notEqual,
  pow,
  relu,
  reluGrad,
  sigmoid,
  softplus,
  softsign,
  sqrt,
  sub,
  tanh,
  where,
} from './elementwise.ts';
export {
  correct,
  crossEntropy,
  type LossOptions,
  logSoftmax,
  mse,
  type SoftmaxOptions,
  softmax,
  softmaxCrossEntropy,
} from './losses.ts';
export { cosineSimilarity, dot, type MatmulOptions, matmul, norm } from './matmul.ts';
export { argmax, max, mean, min, type ReduceOptions, type SumOptions, sum } from './reduce.ts';
export { averagePool2d, conv2d, maxPool2d, sumPool2d } from './windows.ts';
