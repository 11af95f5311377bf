/** A worker in a simulated coordinator's process: the real one, computing from the run's own weights in virtual time. */
import { type InlineCompute, InlineWorker } from '../coordinator/inline-worker.ts';
import type { Run } from '../coordinator/run.ts';
import type { Shard } from '../tree.ts';
import type { RunParts } from './problem.ts';
import type { SimulatedProcess } from './simulated-process.ts';

/** @param computeMs virtual time that a shard of so many microbatches takes */
export function connectInline(
  run: Run,
  { parts, process, computeMs }: { parts: RunParts; process: SimulatedProcess; computeMs: (n: number) => number },
): void {
  const { setup, parameterServer, referee } = parts;
  const { aggregator, backend } = parameterServer;
  const compute: InlineCompute = {
    backend: backend.name,
    numericMode: backend.numericMode,
    threads: 1,
    checkNumerics: async () => ({
      hash: setup.refereeHash ?? '',
      samplesPerMs: setup.plan.microbatchSize / computeMs(1),
    }),
    async compute(step: number, shard: Shard, isCanceled: () => boolean) {
      const ms = computeMs(shard.n);
      await new Promise<void>((resolve) => process.after(ms, resolve));
      if (isCanceled()) return { sum: undefined, computeMs: ms };
      const { memory } = await referee(step, shard);
      if (aggregator.read(memory)) return { sum: memory, computeMs: ms };
      aggregator.release(memory);
      return { sum: undefined, computeMs: ms };
    },
  };
  run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock: process, hasOthers: true }));
}
