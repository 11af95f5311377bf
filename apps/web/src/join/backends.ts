/** The backends of a tab, and their names for people. */
import type { TabBackend } from '@lockstep/worker/browser';

/** What a person can choose. */
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

/** The name of a backend in a table. */
export function backendLabel(backend: string): string {
  return backendLabels[backend] ?? backend;
}

/** The name of a backend in a sentence: "computes on …". */
export function backendPhrase(backend: string): string {
  if (backend === 'cpu') return 'the CPU (WebAssembly SIMD)';
  return backend === 'reference' ? 'the CPU (plain JavaScript)' : backendLabel(backend);
}

/** Why the browser hides WebGPU from this page, if it does. */
export function insecureContextReason(): string | undefined {
  if (isSecureContext) return undefined;
  return 'WebGPU exists only over https or on localhost: start the coordinator with --tls to offer it here';
}
