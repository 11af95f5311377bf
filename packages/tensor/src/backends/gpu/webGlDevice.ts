/** gpu.js's modes webgl2, webgl and headlessgl: its kernels over float textures, four values to a texel. */
import {
  cellLength,
  cellsOf,
  type Device,
  type DeviceArray,
  type DeviceKernel,
  DeviceLostError,
  type DeviceStretch,
  type Dialect,
  type KernelSource,
} from './device.ts';
import type { GpuJs, GpuJsInstance, GpuJsShortcut } from './gpujs.ts';
import { kernelFunctions } from './kernels/functions.ts';
import { inputNames, kernelText } from './kernelText.ts';

export type WebGlMode = 'webgl2' | 'webgl' | 'headlessgl';

/** gpu.js keeps the unit behind these for itself. */
const mostTextures = 12;
/** Bytes of free textures kept for the next arrays of their size. */
const idleBytesKept = 256 * 2 ** 20;

/** Parts of the WebGL API; its own types would pull in the DOM's. */
interface WebGlContext {
  readonly [constant: string]: unknown;
  getExtension(name: string): { readonly UNMASKED_RENDERER_WEBGL: number } | null;
  getParameter(name: unknown): unknown;
  isContextLost(): boolean;
  getError(): number;
  createTexture(): object | null;
  deleteTexture(texture: object): void;
  activeTexture(unit: unknown): void;
  bindTexture(target: unknown, texture: object | null): void;
  texParameteri(target: unknown, name: unknown, value: unknown): void;
  pixelStorei(name: unknown, value: unknown): void;
  texImage2D(...parameters: unknown[]): void;
  texSubImage2D(...parameters: unknown[]): void;
  createFramebuffer(): object | null;
  deleteFramebuffer(framebuffer: object): void;
  bindFramebuffer(target: unknown, framebuffer: object | null): void;
  framebufferTexture2D(...parameters: unknown[]): void;
  readPixels(...parameters: unknown[]): void;
}

const dialect: Dialect = {
  cell: (input, index) => `a${input}[${index}]`,
  value: (input, index) => `lane(a${input}[quotient(${index}, 4)], ${index})`,
};

/** A texture in the form that gpu.js takes as an argument of type ArrayTexture(4), and renders to. */
class GlArray implements DeviceArray {
  readonly type = 'ArrayTexture(4)';
  readonly length: number;
  readonly texture: object;
  readonly size: Int32Array;
  readonly dimensions: readonly number[];
  readonly output: readonly number[];
  readonly context: WebGlContext;

  constructor(length: number, texture: object, size: Int32Array, context: WebGlContext) {
    this.length = length;
    this.texture = texture;
    this.size = size;
    this.output = [cellsOf(length)];
    this.dimensions = [cellsOf(length), 1, 1];
    this.context = context;
  }

  /** gpu.js asks before it renders; here whoever runs a kernel chooses where it renders to. */
  beforeMutate(): boolean {
    return false;
  }
}

interface GlKernel extends DeviceKernel {
  /** gpu.js writes the sizes of the textures it reads into a kernel: one for each combination met. */
  readonly bySizes: Map<string, GpuJsShortcut>;
}

/** Texels of a texture for so many values: about square, because software adapters share work out by rows. */
function textureSize(length: number): Int32Array {
  const cells = Math.max(1, cellsOf(length));
  const width = 2 ** Math.floor(Math.log2(cells) / 2);
  return Int32Array.of(width, Math.ceil(cells / width));
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
  readonly #framebuffer: object;

  constructor(gpuJs: GpuJs, mode: WebGlMode) {
    this.mode = mode;
    this.#gpu = new gpuJs.GPU({ mode });
    for (const [name, source, argumentTypes, returnType] of helpers(mode)) {
      this.#gpu.addNativeFunction(name, source, { argumentTypes, returnType });
    }
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
    this.maxInputs = Math.min(mostTextures, Number(gl.getParameter(gl['MAX_TEXTURE_IMAGE_UNITS'])) - 1);
    // Width and height differ by less than a factor of 4. WebGL 1 may count in floats, whole up to 2^24.
    this.maxLength = Math.min(largest * largest, mode === 'webgl2' ? 2 ** 29 : 2 ** 24);
    this.#framebuffer = this.#made(gl.createFramebuffer());
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

  #create(source: KernelSource): GpuJsShortcut {
    const { threads, inputs, length } = source;
    const shortcut = this.#gpu.createKernel(kernelText(source), {
      ...settings,
      output: [...threads],
      argumentTypes: inputNames(inputs).map(() => 'ArrayTexture(4)'),
    });
    const { kernel } = shortcut;
    const validate = kernel.validateSettings.bind(kernel);
    // Threads are counted over the result; its texels lie as in every other texture.
    kernel.validateSettings = (given) => {
      validate(given);
      kernel.texSize = textureSize(length);
    };
    return shortcut;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    const { bySizes, source } = kernel as GlKernel;
    const result = this.#take(source.length);
    const sizes = (inputs as readonly GlArray[]).map(({ size }) => size.join('x')).join(' ');
    let shortcut = bySizes.get(sizes);
    if (shortcut === undefined) {
      shortcut = this.#create(source);
      bySizes.set(sizes, shortcut);
    }
    const { kernel: inner } = shortcut;
    inner.texture = result;
    inner._textureSwitched = true;
    shortcut(...inputs);
    return result;
  }

  async read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]> {
    const values = stretches.map(({ array, offset, length }) => this.#readStretch(array as GlArray, offset, length));
    this.#check();
    return values;
  }

  #readStretch({ texture, size }: GlArray, offset: number, length: number): Float32Array {
    if (length === 0) return new Float32Array(0);
    const gl = this.#gl;
    const rowLength = size[0]!;
    const first = Math.floor(offset / cellLength);
    const last = Math.floor((offset + length - 1) / cellLength);
    const [firstRow, lastRow] = [Math.floor(first / rowLength), Math.floor(last / rowLength)];
    const from = firstRow === lastRow ? first % rowLength : 0;
    const width = firstRow === lastRow ? last - first + 1 : rowLength;
    const rows = lastRow - firstRow + 1;
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], texture, 0);
    const texels = new Float32Array(width * rows * cellLength);
    gl.readPixels(from, firstRow, width, rows, gl['RGBA'], gl['FLOAT'], texels);
    const start = offset - (firstRow * rowLength + from) * cellLength;
    return texels.slice(start, start + length);
  }

  release(array: DeviceArray): void {
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

  close(): void {
    this.#trim();
    this.#gl.deleteFramebuffer(this.#framebuffer);
    this.#kernels.clear();
    this.#gpu.destroy().catch(() => {});
  }

  #take(length: number): GlArray {
    this.#check();
    const gl = this.#gl;
    const size = textureSize(length);
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
    if (this.#gl.isContextLost()) throw new DeviceLostError(`${this.mode}: the context was lost`);
  }
}

const settings = {
  // Unset, gpu.js may fall back to 8 bits in silence.
  precision: 'single',
  // Full precision for positions too, whatever the texture's size.
  tactic: 'precision',
  pipeline: true,
  immutable: false,
  returnType: 'Array(4)',
};

type NativeFunction = readonly [string, string, Readonly<Record<string, string>>, string];

function helpers(mode: WebGlMode): NativeFunction[] {
  const division = { value: 'Integer', divisor: 'Integer' };
  const lane = { cell: 'Array(4)', index: 'Integer' };
  const whole: NativeFunction[] = [
    ['quotient', 'int quotient(int value, int divisor) { return value / divisor; }', division, 'Integer'],
    ['whole', 'int whole(float value) { return int(floor(value)); }', { value: 'Number' }, 'Integer'],
    [
      'remainder',
      'int remainder(int value, int divisor) { return value - divisor * (value / divisor); }',
      division,
      'Integer',
    ],
  ];
  if (mode === 'webgl2') {
    return [...whole, ['lane', `float lane(vec4 cell, int index) { return cell[index & 3]; }`, lane, 'Float']];
  }
  const pick = `float lane(vec4 cell, int index) {
  int which = index - 4 * (index / 4);
  return which == 0 ? cell.x : which == 1 ? cell.y : which == 2 ? cell.z : cell.w;
}`;
  return [...whole, ['lane', pick, lane, 'Float']];
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
  return new WebGlDevice(gpuJs, mode);
}
