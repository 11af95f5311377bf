/** Opens the modes of gpu.js as backends. gpu.js is loaded on demand. */
import { GpuBackend } from './backend.ts';
import type { Device } from './device.ts';
import { loadGpuJs } from './gpujs.ts';
import { openWebGlDevice } from './webgl.ts';
import { openWebGpuDevice } from './webgpu.ts';

export type GpuMode = 'webgpu' | 'webgl2';

/** @throws Error with one sentence if this mode is unavailable */
export async function openDevice(mode: GpuMode): Promise<Device> {
  const gpuJs = await loadGpuJs();
  return mode === 'webgpu' ? openWebGpuDevice(gpuJs) : openWebGlDevice(gpuJs);
}

/** @throws Error with one sentence if this mode is unavailable */
export async function openGpuMode(name: string, mode: GpuMode): Promise<GpuBackend> {
  return new GpuBackend(name, await openDevice(mode));
}
