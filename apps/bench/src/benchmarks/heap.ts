/** Whether a compiled training step leaks memory, in V8's heap or in WebAssembly's memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import type { Benchmark, Fact } from '../benchmark.ts';
import { createTraining } from '../peers/lockstep/mnist-step.ts';
import { mnistWork } from '../workloads/mnist-data.ts';
import { mlpNet } from '../workloads/net.ts';

const steps = 10_000;
const batchSize = 16;
/** Smaller than V8's smallest object, to detect a leak of one object per step. */
const allowedBytesPerStep = 8;

export const heap: Benchmark = {
  kind: 'inspection',
  name: 'heap',
  title: `What ${steps.toLocaleString('en-US')} training steps leave behind`,
  method: [
    `784-128-10 on MNIST, batch ${batchSize}, compiled gradient and SGD on cpu, after a warm-up of a tenth as many steps.`,
    'Memory is read before and after, each time after a garbage collection. Flat means: WebAssembly has not grown at all, and',
    `V8 by less than ${allowedBytesPerStep} bytes a step, less than one object.`,
  ],
  async facts(progress) {
    const { backend } = await openBackend('cpu');
    return [await inspectSteps(backend, progress)];
  },
};

async function inspectSteps(backend: HostBackend, progress: (message: string) => void): Promise<Fact> {
  const training = createTraining(backend, { ...(await mnistWork(mlpNet, batchSize, 64)), learningRate: 0.01 });
  const { parameters } = training;
  training.reset();
  const run = (count: number): void => {
    for (let step = 0; step < count; step++) training.step();
  };
  const collectGarbage = garbageCollector();
  const read = (): Reading => {
    collectGarbage();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return { heap: heapUsed, outside: external + arrayBuffers, wasm: backend.view(parameters).buffer.byteLength };
  };
  progress('heap: warming up');
  run(steps / 10);
  // The first reading allocates the objects that later readings reuse.
  read();
  const before = read();
  progress(`heap: ${steps} steps`);
  run(steps);
  const after = read();
  training.dispose();
  return growthFact(before, after, steps);
}

/** Bytes in use. */
interface Reading {
  readonly heap: number;
  /** Memory outside V8's heap that its objects own, such as array buffers and WebAssembly's memory. */
  readonly outside: number;
  readonly wasm: number;
}

/** Whether memory stays flat between two readings, `stepCount` steps apart. */
export function growthFact(before: Reading, after: Reading, stepCount: number): Fact {
  const heapGrowthBytes = after.heap - before.heap;
  const outsideGrowthBytes = after.outside - before.outside;
  const wasmGrowthBytes = after.wasm - before.wasm;
  const allowed = allowedBytesPerStep * stepCount;
  const [heapBytes, wasmBytes] = [before.heap, before.wasm].map((bytes) => bytes.toLocaleString('en-US'));
  return {
    name: 'memory stays flat',
    holds: heapGrowthBytes < allowed && outsideGrowthBytes < allowed && wasmGrowthBytes === 0,
    message:
      `V8's heap ${heapBytes} bytes and ${signed(heapGrowthBytes)} after, ` +
      `buffers outside it ${signed(outsideGrowthBytes)}, WebAssembly ${wasmBytes} and ${signed(wasmGrowthBytes)}`,
    figures: {
      steps: stepCount,
      heapBytes: before.heap,
      heapGrowthBytes,
      outsideGrowthBytes,
      wasmBytes: before.wasm,
      wasmGrowthBytes,
    },
  };
}

function signed(bytes: number): string {
  return `${bytes < 0 ? '-' : '+'}${Math.abs(bytes).toLocaleString('en-US')}`;
}

/** Returns a function that runs a full collection. V8 exposes it only to contexts created after the flag is set. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
