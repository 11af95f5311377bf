/** gpu.js's mode webgl2: its kernels, run on float textures. */
import { getOrCreate } from '../../get-or-create.ts';
import type { Device, DeviceArray, DeviceKernel, DeviceStretch, KernelSource } from '../device.ts';
import type { GpuJs, GpuJsInstance, GpuJsShortcut } from '../gpujs.ts';
import { GpuJsDevice } from '../gpujs-device.ts';
import { kernelFunctions } from '../shaders/functions.ts';
import { createGlArray, type GlArray, quarteredSize, quarterOf, type TextureMemory, textureSize } from './arrays.ts';
import type { WebGlContext } from './context.ts';
import { dialect, settings } from './language.ts';
import { createProgram, draw } from './programs.ts';
import { ReadBack } from './read-back.ts';
import { Textures } from './textures.ts';

/** gpu.js reserves the unit after these. */
const mostTextures = 12;

interface GlKernel extends DeviceKernel {
  /** One per combination of input texture sizes, which gpu.js compiles in. */
  readonly bySizes: Map<string, GpuJsShortcut>;
}

class WebGlDevice extends GpuJsDevice<GlKernel, TextureMemory> implements Device {
  readonly mode = 'webgl2';
  readonly adapter: string;
  readonly dialect = dialect;
  readonly maxInputs: number;
  readonly maxThreads = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as const;
  readonly maxLength: number;
  readonly #gpu: GpuJsInstance;
  readonly #gl: WebGlContext;
  readonly #framebuffer: object;
  readonly #readBuffer: object;
  readonly #readBack: ReadBack;
  readonly #textures: Textures;
  /** Largest width or height of a texture, in texels. */
  readonly #largest: number;

  constructor(gpu: GpuJsInstance) {
    super();
    this.#gpu = gpu;
    for (const { source, ...types } of kernelFunctions) gpu.addFunction(source, types);
    const gl = contextOf(gpu);
    this.#gl = gl;
    const named = gl.getExtension('WEBGL_debug_renderer_info');
    this.adapter = String(gl.getParameter(named?.UNMASKED_RENDERER_WEBGL ?? gl['RENDERER']));
    this.#largest = Number(gl.getParameter(gl['MAX_TEXTURE_SIZE']));
    this.maxInputs = Math.min(mostTextures, Number(gl.getParameter(gl['MAX_TEXTURE_IMAGE_UNITS'])) - 1);
    // Width and height differ by less than a factor of 4.
    this.maxLength = Math.min(this.#largest ** 2, 2 ** 29);
    this.#framebuffer = this.#made(gl.createFramebuffer());
    this.#readBuffer = this.#made(gl.createBuffer());
    this.#readBack = new ReadBack(gl, this.#framebuffer, this.#readBuffer);
    this.#textures = new Textures(gl, this.#framebuffer);
  }

  quarters(length: number): boolean {
    const size = quarteredSize(length);
    return size !== undefined && size[1] <= this.#largest;
  }

  upload(values: Float32Array): DeviceArray {
    const array = this.#take(values.length);
    this.#textures.write(array.memory, values);
    return array;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    this.check();
    const { bySizes, source } = kernel as GlKernel;
    const read = inputs as readonly GlArray[];
    const sizes = read.map(({ memory }) => memory.size).join(' ');
    const program = getOrCreate(bySizes, sizes, () => createProgram(this.#gpu, this.#gl, source, read));
    if (source.quartered) return this.#runQuartered(program, source, read);
    const result = this.#take(source.length);
    draw(program, read, [result]);
    return result;
  }

  #runQuartered(program: GpuJsShortcut, { length }: KernelSource, inputs: readonly GlArray[]): GlArray {
    const size = quarteredSize(length)!;
    const quarters = [0, 1, 2, 3].map(() => this.#take(length / 4, quarterOf(size)));
    draw(program, inputs, quarters);
    const result = this.#take(length, size);
    this.#textures.stack(
      quarters.map(({ memory }) => memory),
      result.memory,
    );
    for (const quarter of quarters) this.release(quarter);
    return result;
  }

  async read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]> {
    this.check();
    const values = this.#readBack.read(stretches);
    this.check();
    return values;
  }

  protected createKernel(source: KernelSource): GlKernel {
    return { source, bySizes: new Map() };
  }

  protected destroyMemory(unused: readonly TextureMemory[]): void {
    for (const { texture } of unused) this.#gl.deleteTexture(texture);
  }

  protected isLost(): boolean {
    return this.#gl.isContextLost();
  }

  protected async dispose(idle: readonly TextureMemory[]): Promise<void> {
    this.destroyMemory(idle);
    this.#gl.deleteFramebuffer(this.#framebuffer);
    this.#gl.deleteBuffer(this.#readBuffer);
    // Also releases the context, and with it all remaining textures.
    await this.#gpu.destroy().catch(() => {});
  }

  #take(length: number, size = textureSize(length)): GlArray {
    this.check();
    const memory = this.takeIdle(size.join('x')) ?? this.#textures.create(size);
    return createGlArray(length, memory, this.#gl);
  }

  #made(object: object | null): object {
    this.check();
    if (object === null) throw new Error(`${this.mode}: the context refused to make a buffer`);
    return object;
  }
}

/** Returns the context that gpu.js creates with its first kernel. */
function contextOf(gpu: GpuJsInstance): WebGlContext {
  const first = gpu.createKernel('function kernel() { return [0.5, 0.5, 0.5, 0.5]; }', {
    ...settings,
    output: [1],
    argumentTypes: [],
  });
  first();
  return first.kernel.context as WebGlContext;
}

/** @throws Error with one sentence if there is no such context, or it has no float textures */
export function openWebGlDevice({ GPU }: GpuJs): Device {
  if (!GPU.isWebGL2Supported) throw new Error('there is no webgl2 here');
  const gpu = new GPU({ mode: 'webgl2' });
  try {
    return new WebGlDevice(gpu);
  } catch (error) {
    gpu.destroy().catch(() => {});
    throw error;
  }
}
