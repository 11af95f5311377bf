/** The memory that a run needs at the least, so that one that cannot fit is refused before it begins. */
import { totalmem } from 'node:os';
import {
  layerParameters,
  layerShapes,
  type Model,
  type OptimizerConfig,
  optimizerRule,
  parameterCount,
} from '@lockstep/nn';
import { maxCpuMemoryBytes, sizeOf } from '@lockstep/tensor';
import { thousands } from './format.ts';

export interface MemoryNeedOptions {
  readonly model: Model;
  readonly optimizer: OptimizerConfig;
  readonly microbatchSize: number;
  /** Local workers. */
  readonly workers: number | 'single';
  readonly threads: number;
}

export interface MemoryNeed {
  /** In the coordinator's WebAssembly memory. */
  readonly coordinatorBytes: number;
  /** In one compute thread's WebAssembly memory. */
  readonly computeBytes: number;
  /** In all processes that the coordinator is or starts. */
  readonly machineBytes: number;
}

const floatBytes = 4;

/**
 * Lower bounds, in vectors as long as the parameters. A compute: weights, sum, and the results of a whole and of a short
 * microbatch. The coordinator, when it opens: weights, sum, the optimizer's state, a copy to evaluate, and a compute for
 * the numerics check; beside that memory the weights as they travel, and weights and gradient of the numerics check. A
 * worker process: its computes, the weights as they arrive and the gradient as it leaves.
 */
export function memoryNeed({ model, optimizer, microbatchSize, workers, threads }: MemoryNeedOptions): MemoryNeed {
  const vectorBytes = floatBytes * parameterCount(model);
  const slots = optimizerRule(optimizer).slots(optimizer).length;
  const computeBytes = 4 * vectorBytes + floatBytes * microbatchSize * keptActivations(model);
  const coordinatorBytes = (3 + slots) * vectorBytes + computeBytes;
  const processBytes = coordinatorBytes + 3 * vectorBytes;
  const workersBytes = workers === 'single' ? computeBytes : workers * (threads * computeBytes + 2 * vectorBytes);
  return { coordinatorBytes, computeBytes, machineBytes: processBytes + workersBytes };
}

/** Values of one sample that the gradient needs: the inputs of layers with parameters. */
function keptActivations(model: Model): number {
  const shapes = layerShapes(model);
  return layerParameters(model).reduce(
    (sum, parameters, index) => (parameters.length === 0 ? sum : sum + sizeOf(shapes[index]!)),
    0,
  );
}

/** What this process may use: the machine's memory, or less where a container is allowed less. */
export function systemMemoryBytes(): number {
  const allowed = process.constrainedMemory();
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}

/** Why a run cannot fit in memory, as what follows the model's name; undefined where it may. */
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
