/** A matrix product on gpu.js's own CPU mode, WebAssembly with SIMD, on one thread. */
import { type Absent, type Implementation, packageVersion, timeSteps } from '../benchmark.ts';
import type { Product } from '../product.ts';

/** The part of gpu.js that is used here; its own types lack this mode. */
interface GpuJs {
  readonly GPU: {
    new (settings: {
      mode: 'webasm';
    }): { createKernel(source: string, settings: object): Kernel; destroy(): Promise<unknown> };
    readonly isWebAssemblySupported: boolean;
  };
  readonly input: (values: Float32Array, size: readonly number[]) => unknown;
}

interface Kernel {
  (left: unknown, right: unknown): readonly Float32Array[];
  readonly kernel: { readonly constructor: { readonly mode?: string } };
}

/** One thread per output element, as in gpu.js's README; a string, so that no build step changes it. */
const source = `function product(left, right) {
  let sum = 0;
  for (let i = 0; i < this.constants.k; i++) sum += left[this.thread.y][i] * right[i][this.thread.x];
  return sum;
}`;

export async function openGpuJsMatmul(work: Product): Promise<Implementation | Absent> {
  const { GPU, input } = ((await import('gpu.js')) as unknown as { readonly default: GpuJs }).default;
  if (!GPU.isWebAssemblySupported) return { absent: 'gpu.js finds no WebAssembly with SIMD here' };
  const { m, k, n } = work;
  const gpu = new GPU({ mode: 'webasm' });
  const kernel = gpu.createKernel(source, { output: [n, m], constants: { k }, precision: 'single' });
  const left = input(work.left.slice(), [k, m]);
  const right = input(work.right.slice(), [n, k]);
  let output = kernel(left, right);
  const { mode } = kernel.kernel.constructor;
  if (mode !== 'webasm') {
    await gpu.destroy();
    return { absent: `gpu.js took its mode ${mode} instead of webasm` };
  }
  const step = (): void => {
    output = kernel(left, right);
  };
  return {
    version: await packageVersion('gpu.js'),
    notes: [
      'mode webasm, called synchronously: 1 thread',
      'one thread of the kernel per element, as its README writes it',
    ],
    run: (steps) => timeSteps(steps, step),
    async result() {
      const values = new Float32Array(m * n);
      for (const [row, rowValues] of output.entries()) values.set(rowValues, row * n);
      return values;
    },
    async close() {
      await gpu.destroy();
    },
  };
}
