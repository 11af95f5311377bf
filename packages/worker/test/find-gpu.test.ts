/** Detection of pages with a GPU that is worth loading code for. */
import { describe, expect, it } from 'vitest';
import { type GpuScope, missingGpu } from '../src/browser/tab.ts';

const webGpu = (info?: Readonly<Record<string, string>>): GpuScope['gpu'] => ({
  requestAdapter: async () => (info === undefined ? null : { info }),
});
const rendered = (name?: string) => () => name;

describe('missingGpu', () => {
  it.each<[scope: string, GpuScope]>([
    ['WebGPU', { gpu: webGpu({ vendor: 'nvidia', architecture: 'ampere' }), webGlRenderer: rendered() }],
    ['WebGPU without a name', { gpu: webGpu({}), webGlRenderer: rendered() }],
    ['WebGL alone', { webGlRenderer: rendered('ANGLE (Apple, ANGLE Metal Renderer: Apple M2)') }],
    ['WebGL where WebGPU finds none', { gpu: webGpu(), webGlRenderer: rendered('Mali-G78') }],
    [
      'WebGL where WebGPU is software',
      { gpu: webGpu({ vendor: 'google', architecture: 'swiftshader' }), webGlRenderer: rendered('Adreno 640') },
    ],
  ])('finds one by %s', async (_, scope) => {
    expect(await missingGpu(scope)).toBeUndefined();
  });

  it.each<[scope: string, GpuScope, RegExp]>([
    ['neither is there', { webGlRenderer: rendered() }, /^this browser offers no GPU$/],
    [
      'both are programs',
      {
        gpu: webGpu({ vendor: 'google', architecture: 'swiftshader' }),
        webGlRenderer: rendered('ANGLE (Google, SwiftShader Device)'),
      },
      /^this browser's GPU is a software renderer \(google swiftshader\)$/,
    ],
    [
      'WebGL is a program',
      { webGlRenderer: rendered('llvmpipe (LLVM 19)') },
      /a software renderer \(llvmpipe \(LLVM 19\)\)$/,
    ],
    [
      'WebGPU throws',
      { gpu: { requestAdapter: () => Promise.reject(new Error('lost')) }, webGlRenderer: rendered() },
      /^this browser offers no GPU$/,
    ],
  ])('finds none where %s', async (_, scope, reason) => {
    expect(await missingGpu(scope)).toMatch(reason);
  });
});
