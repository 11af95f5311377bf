/** The package's public face: tensors, their operations, gradients, compiled plans and backends. */
export { noGrad, type ValueAndGradient, valueAndGrad } from './autograd.ts';
export {
  type Backend,
  type Call,
  type CrossEntropyCall,
  type HostBackend,
  isHostBackend,
  type MapCall,
  type MatmulCall,
  type Program,
  type ReduceCall,
  type Storage,
  type StridedView,
} from './backend.ts';
export {
  type BackendChoice,
  type BackendName,
  backendNames,
  type OpenedBackend,
  openBackend,
} from './backends/registry.ts';
export { type CompileInput, type CompileOptions, compile, type Plan } from './compile.ts';
export type { Operand } from './evaluate.ts';
export { apply, constant, type Formula, input, type Primitive } from './formula.ts';
export { reshape, transpose } from './ops/arrange.ts';
export { correct, softmaxCrossEntropy } from './ops/classify.ts';
export { add, div, equal, exp, log, mul, neg, relu, sub } from './ops/elementwise.ts';
export { type MatmulOptions, matmul } from './ops/matmul.ts';
export { argmax, broadcastTo, mean, type ReduceOptions, sum } from './ops/reduce.ts';
export { operations } from './ops/table.ts';
export { type Shape, ShapeError } from './shape.ts';
export { fromArray, fromStorage, type LeafOptions, Tensor, tidy } from './tensor.ts';
