/** Shaders on WebGL 2: arrays are textures. */
import {
  cellLength,
  cellsOf,
  type Device,
  type DeviceArray,
  type DeviceKernel,
  type DeviceStretch,
  type Dialect,
  type GpuJs,
  GpuJsDevice,
  type GpuJsInstance,
  type GpuJsShortcut,
  getOrCreate,
  type KernelSource,
  kernelText,
  type PooledMemory,
} from './device.ts';
import { kernelFunctions } from './shaders.ts';

interface WebGlContext {
  readonly [constant: string]: unknown;
  getExtension(name: string): { readonly UNMASKED_RENDERER_WEBGL: number } | null;
  getParameter(name: unknown): unknown;
  readonly canvas: EventTarget;
  isContextLost(): boolean;
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
  copyTexSubImage2D(...parameters: unknown[]): void;
  readPixels(...parameters: unknown[]): void;
  createBuffer(): object | null;
  deleteBuffer(buffer: object): void;
  bindBuffer(target: unknown, buffer: object | null): void;
  bufferData(target: unknown, bytes: number, use: unknown): void;
  getBufferSubData(target: unknown, at: number, into: Float32Array): void;
}

interface TextureMemory extends PooledMemory {
  readonly texture: object;
  readonly width: number;
  readonly height: number;
}

/** gpu.js asks before it renders to an array that it also reads; here the targets are chosen in advance. */
const beforeMutate = (): boolean => false;

/** A texture in the form that gpu.js takes as an argument of type ArrayTexture(4), and as a render target. */
function createGlArray(length: number, memory: TextureMemory, context: WebGlContext) {
  const { texture, width, height } = memory;
  const [type, cells] = ['ArrayTexture(4)', cellsOf(length)];
  const [size, output, dimensions] = [Int32Array.of(width, height), [cells], [cells, 1, 1]];
  return { type, length, memory, texture, size, output, dimensions, context, beforeMutate } as const;
}

type GlArray = ReturnType<typeof createGlArray>;

/** Size in texels. */
type TextureSize = readonly [width: number, height: number];

/** Size of a texture of `length` values: nearly square, because software renderers divide work by rows. */
function textureSize(length: number): TextureSize {
  const cells = Math.max(1, cellsOf(length));
  const width = 2 ** Math.floor(Math.log2(cells) / 2);
  return [width, Math.ceil(cells / width)];
}

/** Size of each quarter of a texture of `length` values, in whole rows; undefined if those would be too narrow. */
function quarterSize(length: number): TextureSize | undefined {
  const cells = length / (4 * cellLength);
  let [width] = textureSize(length);
  while (width >= 16 && cells % width !== 0) width /= 2;
  return width >= 16 ? [width, cells / width] : undefined;
}

class Textures {
  readonly #gl: WebGlContext;
  /** Belongs to its owner. */
  readonly #framebuffer: object;

  constructor(gl: WebGlContext, framebuffer: object) {
    this.#gl = gl;
    this.#framebuffer = framebuffer;
  }

  /** @throws Error if the context refuses */
  create([width, height]: TextureSize): TextureMemory {
    const gl = this.#gl;
    const texture = gl.createTexture();
    if (texture === null) throw new Error('the context refused to make a texture');
    this.#bind(texture);
    const set = (name: string, value: string): void => gl.texParameteri(gl['TEXTURE_2D'], gl[name], gl[value]);
    for (const side of ['S', 'T']) set(`TEXTURE_WRAP_${side}`, 'CLAMP_TO_EDGE');
    for (const filter of ['MIN', 'MAG']) set(`TEXTURE_${filter}_FILTER`, 'NEAREST');
    gl.texImage2D(gl['TEXTURE_2D'], 0, gl['RGBA32F'], width, height, 0, gl['RGBA'], gl['FLOAT'], null);
    return { size: `${width}x${height}`, bytes: width * height * 16, texture, width, height };
  }

  /** Writes values from the first texel on, and zeros into the rest of the last row. */
  write({ texture, width, height }: TextureMemory, values: Float32Array): void {
    const gl = this.#gl;
    this.#bind(texture);
    gl.pixelStorei(gl['UNPACK_FLIP_Y_WEBGL'], false);
    const whole = Math.floor(values.length / (width * cellLength));
    const writeRows = (row: number, rows: number, data: Float32Array): void =>
      gl.texSubImage2D(gl['TEXTURE_2D'], 0, 0, row, width, rows, gl['RGBA'], gl['FLOAT'], data);
    if (whole > 0) writeRows(0, whole, values.subarray(0, whole * width * cellLength));
    if (whole < height) {
      const last = new Float32Array(width * cellLength);
      last.set(values.subarray(whole * width * cellLength));
      writeRows(whole, 1, last);
    }
  }

  /** Copies textures of equal size below each other. */
  stack(parts: readonly TextureMemory[], target: TextureMemory): void {
    const gl = this.#gl;
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    this.#bind(target.texture);
    parts.forEach(({ texture, width, height }, part) => {
      gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], texture, 0);
      gl.copyTexSubImage2D(gl['TEXTURE_2D'], 0, 0, part * height, 0, 0, width, height);
    });
  }

  /** Binds a texture to a unit that gpu.js does not use. */
  #bind(texture: object): void {
    const gl = this.#gl;
    gl.activeTexture(gl['TEXTURE15']);
    gl.bindTexture(gl['TEXTURE_2D'], texture);
  }
}

/** Creates a kernel for arrays of the same sizes as `inputs`. */
function createProgram(
  gpu: GpuJsInstance,
  gl: WebGlContext,
  { source, size }: GlKernel,
  inputs: readonly GlArray[],
): GpuJsShortcut {
  const { threads, quartered } = source;
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
    kernel.texSize = Int32Array.from(size);
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

function draw(program: GpuJsShortcut, inputs: readonly GlArray[], [first, ...more]: readonly GlArray[]): void {
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

/** Texels that hold a stretch: part of one row, or whole rows; `skip` values precede the stretch. */
function boxOf({ array, offset, length }: DeviceStretch) {
  const { texture, width: rowLength } = (array as GlArray).memory;
  if (length === 0) return { texture, column: 0, row: 0, width: 0, rows: 0, skip: 0 };
  const first = Math.floor(offset / cellLength);
  const last = Math.floor((offset + length - 1) / cellLength);
  const row = Math.floor(first / rowLength);
  const rows = Math.floor(last / rowLength) - row + 1;
  const column = rows === 1 ? first % rowLength : 0;
  const width = rows === 1 ? last - first + 1 : rowLength;
  return { texture, column, row, width, rows, skip: offset - (row * rowLength + column) * cellLength };
}

type Box = ReturnType<typeof boxOf>;

/** A signaling NaN, which no arithmetic yields. It stays in memory that a lost context did not fill. */
const unreadBits = 0x7fa5_5a5a;

/** Reads synchronously: the calling thread blocks until the device is done. On a page that is a worker's thread. */
class ReadBack {
  readonly #gl: WebGlContext;
  readonly #framebuffer: object;
  /** Collects the texels on the device. */
  readonly #buffer: object;
  #bufferLength = 0;

  /** Uses a framebuffer and a buffer that belong to its owner. */
  constructor(gl: WebGlContext, framebuffer: object, buffer: object) {
    this.#gl = gl;
    this.#framebuffer = framebuffer;
    this.#buffer = buffer;
  }

  /** Returns the values of each stretch after all work requested earlier; undefined if the context was lost. */
  read(stretches: readonly DeviceStretch[]): Float32Array[] | undefined {
    const boxes = stretches.map(boxOf);
    let total = 0;
    const starts = boxes.map(({ width, rows }) => {
      total += width * rows * cellLength;
      return total - width * rows * cellLength;
    });
    const texels = new Float32Array(total);
    const words = new Uint32Array(texels.buffer);
    words.fill(unreadBits, 0, 1);
    if (total > 0) this.#readTogether(boxes, starts, texels);
    if (words[0] === unreadBits) return undefined;
    return stretches.map(({ length }, index) => {
      const start = starts[index]! + boxes[index]!.skip;
      return texels.slice(start, start + length);
    });
  }

  /**
   * Reads through a buffer on the device, to wait for the driver only once. Blocks instead of polling a fence, which
   * would take processor time from a software renderer.
   */
  #readTogether(boxes: readonly Box[], starts: readonly number[], texels: Float32Array): void {
    const gl = this.#gl;
    const target = gl['PIXEL_PACK_BUFFER'];
    gl.bindBuffer(target, this.#buffer);
    if (texels.length > this.#bufferLength) {
      gl.bufferData(target, texels.byteLength, gl['STREAM_READ']);
      this.#bufferLength = texels.length;
    }
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    boxes.forEach(({ texture, column, row, width, rows }, index) => {
      if (rows === 0) return;
      gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], texture, 0);
      const at = starts[index]! * Float32Array.BYTES_PER_ELEMENT;
      gl.readPixels(column, row, width, rows, gl['RGBA'], gl['FLOAT'], at);
    });
    gl.getBufferSubData(target, 0, texels);
    gl.bindBuffer(target, null);
  }
}

const dialect: Dialect = {
  cell: (input, index) => `cell${input}(${index})`,
  value: (input, index) => `value${input}(${index})`,
};

/** Settings of all kernels. */
const settings = {
  // If unset, gpu.js may silently fall back to 8 bits.
  precision: 'single',
  // Full precision for positions too, whatever the texture's size.
  tactic: 'precision',
  pipeline: true,
  immutable: false,
  returnType: 'Array(4)',
};

/** Functions that take the other three cells of a quartered kernel. */
const partFunctions = [1, 2, 3].map((part) => `function part${part}(v0, v1, v2, v3) { return [v0, v1, v2, v3]; }`);

/** Shader types, by gpu.js's names for them. */
const shaderTypes = { Integer: 'int', Number: 'float', Float: 'float', 'Array(4)': 'vec4' } as const;

type ShaderType = keyof typeof shaderTypes;

/** A function in the shader language, as gpu.js takes it. */
function native(returnType: ShaderType, name: string, argumentTypes: Record<string, ShaderType>, body: string) {
  const parameters = Object.entries(argumentTypes).map(([parameter, type]) => `${shaderTypes[type]} ${parameter}`);
  const source = `${shaderTypes[returnType]} ${name}(${parameters.join(', ')}) { ${body} }`;
  return { name, source, argumentTypes, returnType };
}

const division = { value: 'Integer', divisor: 'Integer' } as const;

const wholeNumbers = [
  native('Integer', 'quotient', division, 'return value / divisor;'),
  native('Integer', 'remainder', division, 'return value - divisor * (value / divisor);'),
  native('Integer', 'whole', { value: 'Number' }, 'return int(floor(value));'),
];

/**
 * Functions that read an input's cells and values. gpu.js itself divides by the texture's size for every read; here the
 * width is a power of two, known when the kernel is built.
 */
function readersOf(input: number, [width, height]: TextureSize): ReturnType<typeof native>[] {
  const [texture, shift] = [`user_a${input}`, Math.log2(width)];
  const texel = (column: string, row: string): string =>
    `texture(${texture}, (vec2(ivec2(${column} & ${width - 1}, ${row})) + 0.5) * vec2(${1 / width}, ${1 / height}))`;
  const cell = `return ${texel('index', `index >> ${shift}`)};`;
  const value = `return ${texel('(index >> 2)', `index >> ${shift + 2}`)}[index & 3];`;
  return [
    native('Array(4)', `cell${input}`, { index: 'Integer' }, cell),
    native('Float', `value${input}`, { index: 'Integer' }, value),
  ];
}

/** gpu.js reserves the unit after these. */
const mostTextures = 12;

interface GlKernel extends DeviceKernel {
  /** Size of the texture that a run draws, or of each of four. */
  readonly size: TextureSize;
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
    gl.canvas.addEventListener('webglcontextlost', () => this.noticeLoss());
  }

  quarters(length: number): boolean {
    const size = quarterSize(length);
    return size !== undefined && 4 * size[1] <= this.#largest;
  }

  upload(values: Float32Array): DeviceArray {
    const array = this.#take(values.length);
    this.#textures.write(array.memory, values);
    return array;
  }

  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray {
    this.check();
    const own = kernel as GlKernel;
    const read = inputs as readonly GlArray[];
    const sizes = read.map(({ memory }) => memory.size).join(' ');
    const program = getOrCreate(own.bySizes, sizes, () => createProgram(this.#gpu, this.#gl, own, read));
    const { length, quartered } = own.source;
    const [width, height] = own.size;
    const result = this.#take(length, quartered ? [width, 4 * height] : own.size);
    if (!quartered) {
      draw(program, read, [result]);
      return result;
    }
    const quarters = [0, 1, 2, 3].map(() => this.#take(length / 4, own.size));
    draw(program, read, quarters);
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
    // If the browser's GPU process ends meanwhile, the context itself says so only later.
    this.noticeLoss(values === undefined);
    this.check();
    return values!;
  }

  protected createKernel(source: KernelSource): GlKernel {
    const size = source.quartered ? quarterSize(source.length)! : textureSize(source.length);
    return { source, size, bySizes: new Map() };
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
  if (!GPU.isWebGL2Supported) throw new Error('WebGL 2 is not available here');
  const gpu = new GPU({ mode: 'webgl2' });
  try {
    return new WebGlDevice(gpu);
  } catch (error) {
    gpu.destroy().catch(() => {});
    throw error;
  }
}
