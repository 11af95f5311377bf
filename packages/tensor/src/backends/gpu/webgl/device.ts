/** gpu.js's modes webgl2, webgl and headlessgl: its kernels over float textures, four values to a texel. */
import {
  cellLength,
  type Device,
  type DeviceArray,
  type DeviceKernel,
  DeviceLostError,
  type DeviceStretch,
  type KernelSource,
} from '../device.ts';
import type { GpuJs, GpuJsInstance, GpuJsShortcut } from '../gpujs.ts';
import { kernelText } from '../kernel-text.ts';
import { kernelFunctions } from '../kernels/functions.ts';
import { GlArray, quarteredSize, quarterOf, textureSize } from './arrays.ts';
import type { WebGlContext, WebGlMode } from './context.ts';
import { ReadBack } from './read-back.ts';
import { dialect, partFunctions, readersOf, settings, wholeNumbers } from './text.ts';

/** gpu.js keeps the unit behind these for itself. */
const mostTextures = 12;
/** Bytes of free textures kept for the next arrays of their size. */
const idleBytesKept = 256 * 2 ** 20;

interface GlKernel extends DeviceKernel {
  /** gpu.js writes the sizes of the textures it reads into a kernel: one for each combination met. */
  readonly bySizes: Map<string, GpuJsShortcut>;
}

class WebGlDevice implements Device {
  readonly mode: WebGlMode;
  readonly adapter: string;
  readonly dialect = dialect;
  readonly maxInputs: number;
  readonly maxThreads = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as const;
  readonly maxLength: number;
  readonly #gpu: GpuJsInstance;
  readonly #gl: WebGlContext;
  readonly #kernels = new Map<string, GlKernel>();
  readonly #idle = new Map<string, object[]>();
  #idleBytes = 0;
  #closing: Promise<void> | undefined;
  readonly #framebuffer: object;
  readonly #readBuffer: object | undefined;
  readonly #readBack: ReadBack;
  /** Most texels along a side of a texture. */
  readonly #largest: number;

  constructor(gpu: GpuJsInstance, mode: WebGlMode) {
    this.mode = mode;
    this.#gpu = gpu;
    for (const { source, ...types } of kernelFunctions) this.#gpu.addFunction(source, types);
    // The context comes with the first kernel.
    const first = this.#gpu.createKernel('function kernel() { return [0.5, 0.5, 0.5, 0.5]; }', {
      ...settings,
      output: [1],
      argumentTypes: [],
    });
    first();
    const gl = first.kernel.context as WebGlContext;
    this.#gl = gl;
    const named = gl.getExtension('WEBGL_debug_renderer_info');
    this.adapter = String(gl.getParameter(named?.UNMASKED_RENDERER_WEBGL ?? gl['RENDERER']));
    const largest = Number(gl.getParameter(gl['MAX_TEXTURE_SIZE']));
    this.#largest = largest;
    this.maxInputs = Math.min(mostTextures, Number(gl.getParameter(gl['MAX_TEXTURE_IMAGE_UNITS'])) - 1);
    // Width and height differ by less than a factor of 4. WebGL 1 may count in floats, whole up to 2^24.
    this.maxLength = Math.min(largest * largest, mode === 'webgl2' ? 2 ** 29 : 2 ** 24);
    this.#framebuffer = this.#made(gl.createFramebuffer());
    this.#readBuffer = mode === 'webgl2' ? this.#made(gl.createBuffer()) : undefined;
    this.#readBack = new ReadBack(gl, this.#framebuffer, this.#readBuffer);
  }

  quarters(length: number): boolean {
    if (this.mode !== 'webgl2') return false;
    const size = quarteredSize(length);
    return size !== undefined && size[1]! <= this.#largest;
  }

  upload(values: Float32Array): DeviceArray {
    const array = this.#take(values.length);
    const gl = this.#gl;
    const [width, height] = array.size as unknown as [number, number];
    this.#bind(array.texture);
    gl.pixelStorei(gl['UNPACK_FLIP_Y_WEBGL'], false);
    const whole = Math.floor(values.length / (width * cellLength));
    const write = (row: number, rows: number, data: Float32Array): void =>
      gl.texSubImage2D(gl['TEXTURE_2D'], 0, 0, row, width, rows, gl['RGBA'], gl['FLOAT'], data);
    if (whole > 0) write(0, whole, values.subarray(0, whole * width * cellLength));
    if (whole < height) {
      const last = new Float32Array(width * cellLength);
      last.set(values.subarray(whole * width * cellLength));
      write(whole, 1, last);
    }
    return array;
  }

  compile(source: KernelSource): DeviceKernel {
    const text = kernelText(source);
    const key = `${source.threads.join('x')} ${source.length} ${text}`;
    let kernel = this.#kernels.get(key);
    if (kernel === undefined) {
      kernel = { source, bySizes: new Map() };
      this.#kernels.set(key, kernel);
    }
    return kernel;
  }

  #create(source: KernelSource, inputs: readonly GlArray[]): GpuJsShortcut {
    const { threads, length, quartered } = source;
    const readers = inputs.flatMap(({ size }, input) => readersOf(this.mode, input, size));
    const own = {
      ...settings,
      output: [...threads],
      argumentTypes: inputs.map(() => 'ArrayTexture(4)'),
      nativeFunctions: [...wholeNumbers, ...readers],
    };
    const text = kernelText(source);
    const shortcut = quartered
      ? this.#gpu.createKernelMap(partFunctions, text, own)
      : this.#gpu.createKernel(text, own);
    const { kernel } = shortcut;
    const validate = kernel.validateSettings.bind(kernel);
    // Threads are counted over the result; its texels lie as in every other texture, not as gpu.js would lay and check them.
    kernel.checkTextureSize = () => {};
    kernel.validateSettings = (given) => {
      validate(given);
      kernel.texSize = quartered ? quarterOf(quarteredSize(length)!) : textureSize(length);
    };
    const gl = this.#gl;
    const attachments = [0, 1, 2, 3].map((part) => Number(gl['COLOR_ATTACHMENT0']) + part);
    kernel.drawBuffersMap = attachments;
    // gpu.js keeps what a kernel wrote for its next run; here each run has results of its own.
    kernel._replaceOutputTexture = () => {
      const results = [kernel.texture, ...((kernel.mappedTextures ?? []) as GlArray[])] as GlArray[];
      results.forEach(({ texture }, part) => {
        gl.framebufferTexture2D(gl['FRAMEBUFFER'], attachments[part], gl['TEXTURE_2D'], texture, 0);
      });
    };
    return shortcut;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    this.#check();
    const { bySizes, source } = kernel as GlKernel;
    const read = inputs as readonly GlArray[];
    const sizes = read.map(({ size }) => size.join('x')).join(' ');
    let shortcut = bySizes.get(sizes);
    if (shortcut === undefined) {
      shortcut = this.#create(source, read);
      bySizes.set(sizes, shortcut);
    }
    if (source.quartered) return this.#runQuartered(shortcut, source, read);
    const result = this.#take(source.length);
    this.#draw(shortcut, read, [result]);
    return result;
  }

  #runQuartered(shortcut: GpuJsShortcut, { length }: KernelSource, inputs: readonly GlArray[]): GlArray {
    const size = quarteredSize(length)!;
    const quarters = [0, 1, 2, 3].map(() => this.#take(length / 4, quarterOf(size)));
    this.#draw(shortcut, inputs, quarters);
    const result = this.#take(length, size);
    const gl = this.#gl;
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    this.#bind(result.texture);
    const [width, rows] = quarterOf(size) as unknown as [number, number];
    quarters.forEach((quarter, part) => {
      gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], quarter.texture, 0);
      gl.copyTexSubImage2D(gl['TEXTURE_2D'], 0, 0, part * rows, 0, 0, width, rows);
      this.release(quarter);
    });
    return result;
  }

  #draw(shortcut: GpuJsShortcut, inputs: readonly GlArray[], [first, ...more]: readonly GlArray[]): void {
    const { kernel } = shortcut;
    kernel.texture = first;
    kernel.mappedTextures = more;
    try {
      shortcut(...inputs);
    } finally {
      // What is left here gpu.js would delete in the end, as its own.
      kernel.texture = null;
      kernel.mappedTextures = null;
    }
  }

  async read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]> {
    this.#check();
    const values = this.#readBack.read(stretches);
    this.#check();
    return values;
  }

  release(array: DeviceArray): void {
    if (this.#closing !== undefined) return;
    const { texture, size } = array as GlArray;
    const key = size.join('x');
    const idle = this.#idle.get(key) ?? [];
    this.#idle.set(key, idle);
    idle.push(texture);
    this.#idleBytes += size[0]! * size[1]! * 16;
    if (this.#idleBytes > idleBytesKept) this.#trim();
  }

  #trim(): void {
    for (const texture of [...this.#idle.values()].flat()) this.#gl.deleteTexture(texture);
    this.#idle.clear();
    this.#idleBytes = 0;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#trim();
    this.#gl.deleteFramebuffer(this.#framebuffer);
    if (this.#readBuffer !== undefined) this.#gl.deleteBuffer(this.#readBuffer);
    this.#kernels.clear();
    // It also gives the context back, and with it every texture that is left.
    await this.#gpu.destroy().catch(() => {});
  }

  #take(length: number, size = textureSize(length)): GlArray {
    this.#check();
    const gl = this.#gl;
    const idle = this.#idle.get(size.join('x'))?.pop();
    if (idle !== undefined) {
      this.#idleBytes -= size[0]! * size[1]! * 16;
      return new GlArray(length, idle, size, gl);
    }
    const texture = this.#made(gl.createTexture());
    this.#bind(texture);
    for (const side of ['TEXTURE_WRAP_S', 'TEXTURE_WRAP_T']) {
      gl.texParameteri(gl['TEXTURE_2D'], gl[side], gl['CLAMP_TO_EDGE']);
    }
    for (const filter of ['TEXTURE_MIN_FILTER', 'TEXTURE_MAG_FILTER']) {
      gl.texParameteri(gl['TEXTURE_2D'], gl[filter], gl['NEAREST']);
    }
    const format = this.mode === 'webgl2' ? gl['RGBA32F'] : gl['RGBA'];
    gl.texImage2D(gl['TEXTURE_2D'], 0, format, size[0], size[1], 0, gl['RGBA'], gl['FLOAT'], null);
    return new GlArray(length, texture, size, gl);
  }

  #bind(texture: object): void {
    const gl = this.#gl;
    gl.activeTexture(gl['TEXTURE15']);
    gl.bindTexture(gl['TEXTURE_2D'], texture);
  }

  #made(thing: object | null): object {
    this.#check();
    if (thing === null) throw new Error(`${this.mode}: the context refused to make a texture`);
    return thing;
  }

  #check(): void {
    if (this.#closing !== undefined) throw new Error(`${this.mode}: the device was closed`);
    if (this.#gl.isContextLost()) throw new DeviceLostError(`${this.mode}: the context was lost`);
  }
}

/** @throws Error with one sentence where there is no such context, or it has no float textures. */
export function openWebGlDevice(gpuJs: GpuJs, mode: WebGlMode): Device {
  const { GPU } = gpuJs;
  const supported = {
    webgl2: GPU.isWebGL2Supported,
    webgl: GPU.isWebGLSupported,
    headlessgl: GPU.isHeadlessGLSupported,
  }[mode];
  if (!supported) {
    const reason = mode === 'headlessgl' ? 'the optional package gl is not built here' : `there is no ${mode} here`;
    throw new Error(reason);
  }
  const gpu = new GPU({ mode });
  try {
    return new WebGlDevice(gpu, mode);
  } catch (error) {
    gpu.destroy().catch(() => {});
    throw error;
  }
}
