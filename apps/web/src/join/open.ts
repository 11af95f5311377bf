/** Opens what this tab computes on; where nothing is asked for, whatever is the fastest on a shard of this very run. */
import { type Model, parseModel } from '@lockstep/nn';
import { type Backend, type OpenedBackend, openBackend } from '@lockstep/tensor';
import { type Clock, createLocalCompute, createNumericsCheck } from '@lockstep/training';
import type { Workload } from './messages.ts';

export type TabBackend = 'auto' | 'webgpu' | 'webgl' | 'cpu';

export interface Opened {
  readonly backend: Backend;
  /** The adapter's name, where a backend knows it. */
  readonly device: string | undefined;
  /** Why it is nothing else: one sentence for each that was tried. */
  readonly refused: readonly string[];
}

/** A person who joins does not wait longer for a GPU to be tried. */
const gpuPatienceMs = 1_500;
/** Shards that are timed; the first ones compile what is compiled on first use. */
const warmUps = 2;
const timed = 3;

/** @throws Error with one sentence where nothing that the choice allows can compute. */
export async function openForTab(choice: TabBackend, workload: Workload | undefined, clock: Clock): Promise<Opened> {
  if (choice !== 'auto') return describe(await openBackend(choice));
  const cpu = describe(await openBackend('auto'));
  if (!workload) return cpu;
  const trial = fasterGpu(cpu.backend, workload, clock);
  let isLate = false;
  const late = new Promise<string>((resolve) => {
    clock.after(gpuPatienceMs, () => {
      isLate = true;
      resolve(`the GPU was not ready within ${gpuPatienceMs / 1000} s`);
    });
  });
  void trial.then((gpu) => {
    if (isLate && typeof gpu !== 'string') close(gpu.backend);
  });
  const result = await Promise.race([trial, late]);
  return typeof result === 'string' ? { ...cpu, refused: [...cpu.refused, result] } : result;
}

/** A GPU that computes a shard in less time than the CPU, or a sentence that says why there is none. */
async function fasterGpu(cpu: Backend, workload: Workload, clock: Clock): Promise<Opened | string> {
  try {
    const gpu = describe(await openBackend('gpu'));
    const [cpuMs, gpuMs] = [await shardMs(cpu, workload, clock), await shardMs(gpu.backend, workload, clock)];
    if (gpuMs < cpuMs) return gpu;
    close(gpu.backend);
    const name = gpu.device ?? 'the GPU';
    const took = `takes ${gpuMs.toFixed(1)} ms for ${workload.samples} images of this model, the CPU ${cpuMs.toFixed(1)} ms`;
    return [...gpu.refused, `${name} ${took}`].join('; ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function describe({ backend, refused }: OpenedBackend): Opened {
  const { adapter, mode }: { adapter?: string; mode?: string } = backend as object;
  const parts = [mode === backend.name ? undefined : mode, adapter].filter((part) => part !== undefined);
  return { backend, refused, device: parts.length === 0 ? undefined : parts.join(', ') };
}

/**
 * The shortest of a few times for one shard.
 * @throws Error with one sentence where the backend cannot compute this model.
 */
async function shardMs(backend: Backend, workload: Workload, clock: Pick<Clock, 'nowMs'>): Promise<number> {
  const compute = createLocalCompute(backend, clock);
  try {
    const model: Model = parseModel(workload.model);
    await compute.open({ model, microbatchSize: workload.microbatchSize });
    const { weights, pixels, labels } = createNumericsCheck(model, Math.max(1, Math.round(workload.samples / 1.5)));
    compute.setWeights(weights);
    let best = Number.POSITIVE_INFINITY;
    for (let run = 0; run < warmUps + timed; run++) {
      const { computeMs } = await compute.gradient(pixels, labels);
      if (run >= warmUps) best = Math.min(best, computeMs);
    }
    return best;
  } finally {
    await compute.close();
  }
}

function close(backend: Backend & { close?: () => void }): void {
  backend.close?.();
}
