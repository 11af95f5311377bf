/** WebGL kernels of gpu.js, modified to render to our own textures. */
import type { KernelSource } from '../device.ts';
import type { GpuJsInstance, GpuJsShortcut } from '../gpujs.ts';
import { kernelText } from '../kernel-text.ts';
import { type GlArray, quarteredSize, quarterOf, textureSize } from './arrays.ts';
import type { WebGlContext } from './context.ts';
import { partFunctions, readersOf, settings, wholeNumbers } from './language.ts';

/** Creates a kernel for arrays of the same sizes as `inputs`. */
export function createProgram(
  gpu: GpuJsInstance,
  gl: WebGlContext,
  source: KernelSource,
  inputs: readonly GlArray[],
): GpuJsShortcut {
  const { threads, length, quartered } = source;
  const readers = inputs.flatMap(({ memory }, input) => readersOf(input, [memory.width, memory.height]));
  const own = {
    ...settings,
    output: [...threads],
    argumentTypes: inputs.map(() => 'ArrayTexture(4)'),
    nativeFunctions: [...wholeNumbers, ...readers],
  };
  const text = kernelText(source);
  const program = quartered ? gpu.createKernelMap(partFunctions, text, own) : gpu.createKernel(text, own);
  const { kernel } = program;
  const validate = kernel.validateSettings.bind(kernel);
  // Threads count over the result, whose texels are laid out like those of every other texture here, not as in gpu.js.
  kernel.checkTextureSize = () => {};
  kernel.validateSettings = (given) => {
    validate(given);
    kernel.texSize = Int32Array.from(quartered ? quarterOf(quarteredSize(length)!) : textureSize(length));
  };
  const attachments = [0, 1, 2, 3].map((part) => Number(gl['COLOR_ATTACHMENT0']) + part);
  kernel.drawBuffersMap = attachments;
  // gpu.js would keep the result for the next run; here each run writes to new textures.
  kernel._replaceOutputTexture = () => {
    const results = [kernel.texture, ...((kernel.mappedTextures ?? []) as GlArray[])] as GlArray[];
    results.forEach(({ texture }, part) => {
      gl.framebufferTexture2D(gl['FRAMEBUFFER'], attachments[part], gl['TEXTURE_2D'], texture, 0);
    });
  };
  return program;
}

export function draw(program: GpuJsShortcut, inputs: readonly GlArray[], [first, ...more]: readonly GlArray[]): void {
  const { kernel } = program;
  kernel.texture = first;
  kernel.mappedTextures = more;
  try {
    program(...inputs);
  } finally {
    // gpu.js would delete textures left here as its own.
    kernel.texture = null;
    kernel.mappedTextures = null;
  }
}
