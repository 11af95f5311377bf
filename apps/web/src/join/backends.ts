/** The backends of a tab, with names for people. */
import type { TabBackend } from '@lockstep/worker/browser';

/** Labels of the backends that a person can choose. */
export const tabBackendLabels: Readonly<Record<TabBackend, string>> = {
  auto: 'Whatever is fastest here',
  webgpu: 'GPU, by WebGPU',
  webgl: 'GPU, by WebGL',
  cpu: 'CPU',
};

const backendLabels: Readonly<Record<string, string>> = {
  cpu: 'CPU',
  reference: 'CPU (plain)',
  gpu: 'GPU',
  webgpu: 'WebGPU',
  webgl: 'WebGL',
};

/** Returns the name of a backend in a table. */
export function backendLabel(backend: string): string {
  return backendLabels[backend] ?? backend;
}

/** Returns the name of a backend in a sentence: "computes on …". */
export function backendPhrase(backend: string): string {
  if (backend === 'cpu') return 'the CPU (WebAssembly SIMD)';
  return backend === 'reference' ? 'the CPU (plain JavaScript)' : backendLabel(backend);
}

/** Explains why the browser hides WebGPU from this page, if it does. */
export function insecureContextReason(): string | undefined {
  if (isSecureContext) return undefined;
  return 'WebGPU exists only over https or on localhost: start the coordinator with --tls to offer it here';
}
