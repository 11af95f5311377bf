/** The modes of gpu.js that this Node has. */
import type { Device } from '../src/backends/gpu/device.ts';
import { type GpuMode, openDevice } from '../src/backends/gpu/open.ts';

export interface Opened {
  readonly title: string;
  /** Left out where the mode does not exist here; the title says why. */
  readonly device?: Device;
}

async function open(mode: GpuMode): Promise<Opened> {
  try {
    return { title: mode, device: await openDevice(mode) };
  } catch (error) {
    return { title: `${mode} (skipped: ${(error as Error).message})` };
  }
}

export function openModes(): Promise<Opened[]> {
  return Promise.all((['webgpu', 'webgl2', 'webgl', 'headlessgl'] as const).map(open));
}
