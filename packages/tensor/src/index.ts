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
export * from './ops/index.ts';
export { philox } from './philox.ts';
export { randomStream } from './random-stream.ts';
export { formatShape, type Shape, ShapeError, sizeOf } from './shape.ts';
export { fromArray, fromStorage, type LeafOptions, Tensor, tidy } from './tensor.ts';
export type { Pair, WindowOptions, Windows } from './windows.ts';
