/** The text of a kernel's source, as gpu.js takes it. */
import type { KernelSource } from './device.ts';

/** Names of the arrays that a body reads. */
export function inputNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `a${index}`);
}

/** Returns text instead of a function, so that no bundler or minifier can change it. */
export function kernelText({ inputs, body }: KernelSource): string {
  return `function kernel(${inputNames(inputs).join(', ')}) {\n${body}\n}`;
}
