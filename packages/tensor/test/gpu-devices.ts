/** Test devices other than the plain JavaScript one. */
import type { Device } from '../src/backends/gpu/device.ts';
import { type GpuMode, openDevice } from '../src/backends/gpu/gpu-backend.ts';
import { HostDevice } from './host-device.ts';

export interface Opened {
  readonly title: string;
  /** Omitted if the mode is not available here; the title says why. */
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
  return Promise.all((['webgpu', 'webgl2'] as const).map(open));
}

/** A device with limits so low that inputs are joined and threads spread over all three dimensions. */
export const cramped: Opened = {
  title: 'plain JavaScript, with few arrays and threads',
  device: new HostDevice(3, [5, 3]),
};
