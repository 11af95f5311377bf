/** The page of the benchmark `page`: runs candidates as Node asks it to. */
import type { PageBench, PageCandidate, PageGradient } from '../src/peers/page-contract.ts';
import { joinParameters } from '../src/workloads/net.ts';
import { openLockstep } from './lockstep.ts';
import { openTensorflow } from './tensorflow.ts';

interface Opened {
  readonly gradient: PageGradient;
  readonly batchCount: number;
  next: number;
  last: readonly Float32Array[];
}

const opened = new Map<PageCandidate, Opened>();

const pageBench: PageBench = {
  async open(name, work) {
    try {
      const [library, api] = name.split(' ') as ['lockstep' | 'TensorFlow.js', 'webgl' | 'webgpu'];
      const gradient = await (library === 'lockstep' ? openLockstep(work, api) : openTensorflow(work, api));
      opened.set(name, { gradient, batchCount: work.batches.length, next: 0, last: [] });
      return { version: gradient.version, notes: gradient.notes };
    } catch (error) {
      return { absent: error instanceof Error ? error.message : String(error) };
    }
  },
  async reset(name) {
    const candidate = opened.get(name)!;
    candidate.next = 0;
    await candidate.gradient.activate?.();
  },
  async run(name, steps) {
    const candidate = opened.get(name)!;
    const startedMs = performance.now();
    for (let step = 0; step < steps; step++) {
      candidate.last = await candidate.gradient.step(candidate.next++ % candidate.batchCount);
    }
    return performance.now() - startedMs;
  },
  result: (name) => joinParameters(opened.get(name)!.last),
  close(name) {
    opened.get(name)?.gradient.close();
    opened.delete(name);
  },
};

Object.assign(globalThis, { pageBench });
