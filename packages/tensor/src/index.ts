/** The package's public face: tensors, their operations, gradients, compiled plans and backends. */
export { type GradientOptions, noGrad, type ValueAndGradient, valueAndGrad } from './autograd.ts';
export {
  type Backend,
  type ByteTable,
  type ConvolutionCall,
  type CrossEntropyCall,
  type Epilogue,
  type GatherCall,
  type HostBackend,
  isHostBackend,
  type KernelCall,
  type Layout,
  type MapCall,
  type MatmulBatch,
  type MatmulCall,
  type Microbatches,
  type PoolCall,
  type Program,
  type RandomCall,
  type ReduceCall,
  type Reduction,
  type ScatterAddCall,
  type Storage,
  type StridedView,
  type UnpoolCall,
} from './backend.ts';
export { createByteTable } from './backends/byte-table.ts';
export { DeviceLostError } from './backends/gpu/device.ts';
export {
  type BackendChoice,
  type BackendName,
  backendNames,
  exactBackendNames,
  type GpuBackendName,
  gpuBackendNames,
  type HostBackendName,
  hostBackendNames,
  type OpenedBackend,
  openBackend,
} from './backends/registry.ts';
export { type CompileInput, type CompileOptions, compile, type Plan } from './compile.ts';
export {
  arange,
  eye,
  full,
  type NormalOptions,
  normal,
  ones,
  type UniformOptions,
  uniform,
  zeros,
} from './creation.ts';
export type { Operand } from './evaluate.ts';
export { apply, constant, type Formula, input, type Primitive, substituteInputs } from './formula.ts';
export {
  gelu,
  leakyRelu,
  normalCdf,
  relu,
  sigmoid,
  softplus,
  tanh,
} from './ops/activations.ts';
export { concat, pad, permute, type Range, reshape, slice, stack, transpose } from './ops/arrange.ts';
export { correct, softmaxCrossEntropy } from './ops/classify.ts';
export { equal, greater, greaterEqual, less, lessEqual, notEqual, where } from './ops/compare.ts';
export { conv2d } from './ops/convolution.ts';
export { dropout, type RandomKeys, randomKey, randomUniform } from './ops/dropout.ts';
export {
  abs,
  add,
  clamp,
  div,
  exp,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  sqrt,
  sub,
} from './ops/elementwise.ts';
export { gather, indexSelect, oneHot } from './ops/gather.ts';
export { crossEntropy, type LossOptions, mse } from './ops/losses.ts';
export { type MatmulOptions, matmul } from './ops/matmul.ts';
export { averagePool2d, maxPool2d } from './ops/pool.ts';
export { argmax, broadcastTo, max, mean, min, type ReduceOptions, type SumOptions, sum } from './ops/reduce.ts';
export { logSoftmax, type SoftmaxOptions, softmax } from './ops/softmax.ts';
export { operations } from './ops/table.ts';
export { type CosineOptions, cosineSimilarity, dot, norm } from './ops/vectors.ts';
export { philox } from './philox.ts';
export { type Shape, ShapeError } from './shape.ts';
export { fromArray, fromStorage, type LeafOptions, Tensor, tidy } from './tensor.ts';
export type { Pair, WindowOptions, Windows } from './windows.ts';
