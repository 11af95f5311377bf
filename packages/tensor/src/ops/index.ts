/** All ops, and functions made of ops: the package exports them, and the op tests iterate over them. */
export { gelu, leakyRelu, normalCdf, relu, reluGrad, sigmoid, softplus, softsign, tanh } from './activations.ts';
export { broadcastTo, permute, reshape, transpose } from './arrange.ts';
export { correct, softmaxCrossEntropy } from './classify.ts';
export { equal, greater, greaterEqual, less, lessEqual, notEqual, where } from './compare.ts';
export { conv2d } from './convolution.ts';
export { dropout, type RandomKeys, randomKey, randomUniform } from './dropout.ts';
export { abs, add, clamp, div, exp, log, maximum, minimum, mul, neg, pow, sqrt, sub } from './elementwise.ts';
export { gather, indexSelect, oneHot, scatterAdd } from './gather.ts';
export { concat, stack } from './join.ts';
export { crossEntropy, type LossOptions, mse } from './losses.ts';
export { type MatmulOptions, matmul } from './matmul.ts';
export { averagePool2d, maxPool2d, sumPool2d } from './pool.ts';
export { argmax, max, mean, min, type ReduceOptions, type SumOptions, sum } from './reduce.ts';
export { pad, place, type Range, slice } from './slice.ts';
export { logSoftmax, type SoftmaxOptions, softmax } from './softmax.ts';
export { cosineSimilarity, dot, norm } from './vectors.ts';
