/** Chooses the backend of this tab; `auto` picks the one that computes a shard of this run fastest. */

import { createLocalCompute, createNumericsCheck } from '@lockstep/compute';
import { parseModel } from '@lockstep/nn';
import type { Clock } from '@lockstep/protocol';
import { type Backend, isSoftwareAdapter, type OpenedBackend, openBackend } from '@lockstep/tensor';
import type { TabBackend, Workload } from './tab-state.ts';
import { tabThreads } from './threads.ts';

type ChosenBackend = ReturnType<typeof describe>;

/** Most time that trying the GPU may delay joining. */
const gpuTrialMs = 1_500;
/** Untimed shards: the first ones compile kernels. */
const warmUpShards = 2;
const timedShards = 3;

interface BackendRequest {
  readonly choice: TabBackend;
  /** Compute threads, if the CPU computes. */
  readonly threads: number;
  readonly workload: Workload | undefined;
}

/** @throws Error if no backend that the choice allows can compute */
export async function chooseBackend({ choice, threads, workload }: BackendRequest, clock: Clock) {
  if (choice !== 'auto') return describe(await openBackend(choice, tabThreads(threads)));
  const cpu = describe(await openBackend('auto', tabThreads(threads)));
  if (!workload) return cpu;
  const missing = await missingGpu();
  if (missing !== undefined) return { ...cpu, reasons: [...cpu.reasons, missing] };
  const trial = tryGpu(cpu.backend, workload, clock);
  const timeout = new Promise<string>((resolve) => {
    clock.after(gpuTrialMs, () => resolve(`the GPU was not ready within ${gpuTrialMs / 1000} s`));
  });
  const result = await Promise.race([trial, timeout]);
  if (typeof result !== 'string') return result;
  // The GPU may still become ready after the timeout.
  void trial.then((gpu) => {
    if (typeof gpu !== 'string') close(gpu.backend);
  });
  return { ...cpu, reasons: [...cpu.reasons, result] };
}

/** Returns the GPU if it computes a shard faster than the CPU, else the reason against it. */
async function tryGpu(cpu: Backend, workload: Workload, clock: Clock): Promise<ChosenBackend | string> {
  try {
    const gpu = describe(await openBackend('gpu'));
    const cpuMs = await shardMs(cpu, workload, clock);
    const gpuMs = await shardMs(gpu.backend, workload, clock);
    if (gpuMs < cpuMs) {
      close(cpu);
      return gpu;
    }
    close(gpu.backend);
    const gpuTime = `${gpu.device ?? 'the GPU'} takes ${gpuMs.toFixed(1)} ms`;
    const reason = `${gpuTime} for ${workload.samples} images of this model, the CPU ${cpuMs.toFixed(1)} ms`;
    return [...gpu.reasons, reason].join('; ');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function describe({ backend, refused }: OpenedBackend) {
  const { adapter, mode }: { adapter?: string; mode?: string } = backend as object;
  const parts = [mode === backend.name ? undefined : mode, adapter].filter((part) => part !== undefined);
  const device = parts.length === 0 ? undefined : parts.join(', ');
  return { backend, threads: backend.threads ?? 1, reasons: refused, device };
}

/** Shortest time of a few shards, in milliseconds. @throws Error if the backend cannot compute this model */
async function shardMs(backend: Backend, workload: Workload, clock: Clock): Promise<number> {
  const compute = createLocalCompute(backend, clock);
  try {
    const model = parseModel(workload.model);
    await compute.open({ model, microbatchSize: workload.microbatchSize, innerSteps: workload.innerSteps });
    const { weights, samples, targets } = createNumericsCheck(model, Math.max(1, Math.round(workload.samples / 1.5)));
    compute.setWeights(weights);
    const times: number[] = [];
    while (times.length < warmUpShards + timedShards) times.push((await compute.gradient(samples, targets)).computeMs);
    return Math.min(...times.slice(warmUpShards));
  } finally {
    await compute.close();
  }
}

function close(backend: Backend & { close?: () => void }): void {
  backend.close?.();
}

interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly description?: string;
}

/** A page's access to GPUs. */
export interface GpuScope {
  /** WebGPU; absent outside a secure context. */
  readonly gpu?: { requestAdapter(): Promise<{ readonly info?: AdapterInfo } | null> } | undefined;
  /** The renderer's name from WebGL 2; undefined without a context. */
  readonly webGlRenderer: () => string | undefined;
}

/**
 * Tests whether the page has a GPU that is not a software renderer.
 * @returns undefined if it has, else a phrase that says why not
 */
export async function missingGpu(scope: GpuScope = thisPage()): Promise<string | undefined> {
  const names: string[] = [];
  try {
    const adapter = await scope.gpu?.requestAdapter();
    // An adapter without a name counts as a GPU: some browsers hide names.
    if (adapter) names.push(nameOf(adapter.info ?? {}));
  } catch {
    // WebGL may be available without WebGPU.
  }
  if (names.some((name) => !isSoftwareAdapter(name))) return undefined;
  const renderer = scope.webGlRenderer();
  if (renderer !== undefined) names.push(renderer);
  if (names.some((name) => !isSoftwareAdapter(name))) return undefined;
  const [software] = names;
  return software === undefined
    ? 'the browser offers no GPU'
    : `the browser's GPU is a program on the CPU (${software})`;
}

function nameOf({ vendor, architecture, description }: AdapterInfo): string {
  return [vendor, architecture, description].filter(Boolean).join(' ');
}

function thisPage(): GpuScope {
  const { gpu } = navigator as { readonly gpu?: GpuScope['gpu'] };
  return { gpu, webGlRenderer };
}

function webGlRenderer(): string | undefined {
  const context = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!context) return undefined;
  const named = context.getExtension('WEBGL_debug_renderer_info');
  const name = String(context.getParameter(named?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER));
  // Browsers keep few contexts alive, and the computing one is created later.
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return name;
}
