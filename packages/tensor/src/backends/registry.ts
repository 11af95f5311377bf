/** The backends that exist, and how one is opened: checked against the reference before it is trusted. */
import type { Backend, HostBackend } from '../backend.ts';
import { createCpuBackend, createRelaxedCpuBackend } from './cpu/backend.ts';
import { isSoftwareAdapter } from './gpu/device.ts';
import { type GpuMode, openGpuMode } from './gpu/open.ts';
import { createReferenceBackend } from './reference/backend.ts';
import { verifyBackend } from './verify.ts';

/** Backends whose storages JavaScript sees. */
const hostOpeners = {
  cpu: createCpuBackend,
  'cpu-relaxed': createRelaxedCpuBackend,
  reference: createReferenceBackend,
} as const satisfies Record<string, () => HostBackend | Promise<HostBackend>>;

/** Backends on gpu.js, with its modes in the order in which they are tried. */
const gpuModes = {
  gpu: ['webgpu', 'webgl2', 'webgl', 'headlessgl'],
  webgpu: ['webgpu'],
  webgl: ['webgl2', 'webgl', 'headlessgl'],
} as const satisfies Record<string, readonly GpuMode[]>;

export type HostBackendName = keyof typeof hostOpeners;

export type GpuBackendName = keyof typeof gpuModes;

export type BackendName = HostBackendName | GpuBackendName;

export type BackendChoice = BackendName | 'auto';

export const hostBackendNames = Object.keys(hostOpeners) as readonly HostBackendName[];

/** Those that give equal bits on every engine, the fastest first: the order in which `auto` tries them. */
export const exactBackendNames = ['cpu', 'reference'] as const satisfies readonly HostBackendName[];

export const gpuBackendNames = Object.keys(gpuModes) as readonly GpuBackendName[];

export const backendNames: readonly BackendName[] = [...hostBackendNames, ...gpuBackendNames];

export interface OpenedBackend<Kind extends Backend = Backend> {
  readonly backend: Kind;
  /** One sentence per backend, or mode of one, that was tried before and could not be used, in order. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

interface Candidate {
  readonly label: string;
  open(): Backend | Promise<Backend>;
}

function candidatesOf(choice: BackendChoice): Candidate[] {
  switch (choice) {
    case 'auto':
      return exactBackendNames.map((name) => ({ label: name, open: hostOpeners[name] }));
    case 'cpu':
    case 'cpu-relaxed':
    case 'reference':
      return [{ label: choice, open: hostOpeners[choice] }];
    case 'gpu':
    case 'webgpu':
    case 'webgl':
      return gpuModes[choice].map((mode) => ({ label: mode, open: () => openGpuMode(choice, mode) }));
    default:
      return choice satisfies never;
  }
}

/**
 * Opens a backend and checks it on a known gradient. `auto` takes the first of `exactBackendNames` that opens
 * and passes: what rounds in its own way is used where it is asked for. `gpu` takes WebGPU where it can, else WebGL.
 * @throws an Error with one sentence when everything that the choice allows is refused.
 */
export function openBackend(choice: HostBackendName | 'auto'): Promise<OpenedBackend<HostBackend>>;
export function openBackend(choice: BackendChoice): Promise<OpenedBackend>;
export async function openBackend(choice: BackendChoice): Promise<OpenedBackend> {
  const refused: string[] = [];
  for (const { label, open } of candidatesOf(choice)) {
    let backend: Backend | undefined;
    try {
      backend = await open();
      await verifyBackend(backend);
      const untried = choice === 'auto' ? ['a GPU is used only where gpu, webgpu or webgl is asked for'] : [];
      return { backend, refused, choice: describe(backend, [...refused, ...untried]) };
    } catch (error) {
      if (backend !== undefined) close(backend);
      refused.push(`backend ${label} was refused: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(refused.join('; '));
}

function close(backend: Backend & { close?: () => void }): void {
  try {
    backend.close?.();
  } catch {
    // It is refused already.
  }
}

function describe(backend: Backend & { mode?: string; adapter?: string }, remarks: readonly string[]): string {
  const { adapter, mode } = backend;
  let what = `computing on ${backend.name}`;
  if (adapter !== undefined) {
    what += ` (${mode === backend.name ? '' : `${mode}, `}${adapter}${isSoftwareAdapter(adapter) ? ': a GPU in name only' : ''})`;
  }
  return [what, ...remarks].join('; ');
}
