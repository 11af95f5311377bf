/** Estimates the minimum memory of a run, so that a run that cannot fit is refused before it begins. */
import { thousands } from '@lockstep/data/shown';
import { everyLayer, type Model, type OptimizerConfig, optimizerRule, parameterCount } from '@lockstep/nn';
import { maxCpuMemoryBytes, sizeOf } from '@lockstep/tensor';

interface MemoryNeedOptions {
  readonly model: Model;
  readonly optimizer: OptimizerConfig;
  readonly microbatchSize: number;
  /** Set if microbatches are replicas. */
  readonly diloco?: { readonly batch: number } | undefined;
  readonly microbatches: number;
  readonly workers: number | 'single';
  readonly threads: number;
  /** Whether the coordinator computes besides its workers. */
  readonly colocate?: boolean | undefined;
}

interface MemoryNeed {
  /** Bytes in the coordinator's WebAssembly memory. */
  readonly coordinatorBytes: number;
  /** Bytes in the coordinator's process and all processes that it starts. */
  readonly machineBytes: number;
}

const floatBytes = 4;

/**
 * Lower bounds, in vectors as long as the parameters. A computer needs the weights, and for each thread a sum and the
 * activations of a microbatch. The coordinator begins with a computer for the numerics check, and then reuses its
 * memory: for weights, the optimizer's state, and either the sum of its workers' gradients, or its own sums and a copy
 * to evaluate. Outside that memory are the weights to evaluate. A worker process needs its computer, the arriving
 * weights and the outgoing gradient.
 */
export function memoryNeed(options: MemoryNeedOptions): MemoryNeed {
  const { model, optimizer, microbatchSize, diloco, microbatches, workers, threads } = options;
  const isAlone = workers === 'single';
  const computes = isAlone || options.colocate === true;
  const vectorBytes = floatBytes * parameterCount(model);
  const slots = optimizerRule(optimizer).slots(optimizer).length;
  // A replica has its own weights, gradient and usually momentum.
  const [vectors, samples] = diloco ? [4, diloco.batch] : [1, microbatchSize];
  const threadBytes = vectors * vectorBytes + floatBytes * samples * keptActivations(model);
  const computingBytes = computes ? Math.min(threads, microbatches) * threadBytes : 0;
  const stepBytes = (2 + slots) * vectorBytes + computingBytes;
  // The numerics check computes a single gradient, in one thread.
  const computeBytes = vectorBytes + threadBytes;
  const checkBytes = 2 * vectorBytes + threadBytes - vectors * vectorBytes;
  const coordinatorBytes = Math.max(checkBytes, stepBytes);
  const processBytes = coordinatorBytes + vectorBytes;
  // A worker may get a single microbatch.
  const workersBytes = isAlone ? 0 : workers * (computeBytes + 2 * vectorBytes);
  return { coordinatorBytes, machineBytes: processBytes + workersBytes };
}

/** Values of one sample that the gradient needs: the inputs of layers with parameters. */
function keptActivations(model: Model): number {
  return everyLayer(model).reduce(
    (sum, { parameters, input }) => (parameters.length === 0 ? sum : sum + sizeOf(input)),
    0,
  );
}

/** Why a run cannot fit in memory, to follow the model's name in a message; undefined if it may fit. */
export function memoryFault(options: MemoryNeedOptions, systemBytes: number): string | undefined {
  const { coordinatorBytes, machineBytes } = memoryNeed(options);
  const got = `got ${thousands(parameterCount(options.model))} parameters`;
  const what = 'weights, gradients, optimizer state and activations';
  if (coordinatorBytes > maxCpuMemoryBytes) {
    const limit = `WebAssembly memory has ${megabytes(maxCpuMemoryBytes)}`;
    return `expected a model that fits in memory, ${got}: ${what} need at least ${megabytes(coordinatorBytes)}, and ${limit}`;
  }
  if (machineBytes > systemBytes) {
    const processes = options.workers === 'single' ? 'this process' : `the coordinator and ${options.workers} workers`;
    const limit = `this machine has ${megabytes(systemBytes)}`;
    return `expected a model that fits in memory, ${got}: ${what} of ${processes} need at least ${megabytes(machineBytes)}, and ${limit}`;
  }
  return undefined;
}

function megabytes(bytes: number): string {
  return `${thousands(bytes / 1e6)} MB`;
}
