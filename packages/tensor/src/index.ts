/**
 * The package's public API: tensors, their operations, gradients, compiled plans and backends.
 * @module
 */
export { noGrad, type OpCall, type Operand, valueAndGrad } from './autograd.ts';
export {
  type Backend,
  type ByteInput,
  type ByteTable,
  type CodecKernels,
  DeviceLostError,
  type HostBackend,
  isHostBackend,
  type KernelCall,
  type Magnitude,
  type MapCall,
  type Program,
  type Storage,
  type StridedView,
} from './backend.ts';
export { maxCpuMemoryBytes } from './backends/cpu/memory.ts';
export {
  type PlatformThread,
  runKernelThread,
  type ThreadEvents,
  type ThreadMessage,
  type ThreadOptions,
  type ThreadSetup,
} from './backends/cpu/threads.ts';
export {
  type BackendChoice,
  backendNames,
  type GpuBackendName,
  type HostBackendName,
  hostBackendNames,
  isSoftwareAdapter,
  type OpenedBackend,
  openBackend,
} from './backends/registry.ts';
export { createByteInput, createByteTable } from './backends/storage-backend.ts';
export { compile, type Plan, type RecordedOps, recordOps } from './compile.ts';
export { arange, full, normal, ones, uniform, zeros } from './creation.ts';
export { apply, constant, exp32, type Formula, input, type Primitive, substituteInputs } from './formula.ts';
export * from './ops/index.ts';
export { normalQuantile, philox, randomStream } from './random.ts';
export { formatShape, type Pair, type Shape, ShapeError, sizeOf, type WindowOptions, type Windows } from './shape.ts';
export { fromArray, fromStorage, Tensor, tidy } from './tensor.ts';
export {
  additionCall,
  PreparedSums,
  prepareElementwise,
  type RoundAddition,
  runTogether,
  sliceSum,
  sumFormula,
  type VectorSum,
  vectorsOf,
} from './vectors.ts';
