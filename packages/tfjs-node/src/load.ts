/** Loads TensorFlow's C library through @tensorflow/tfjs-node, or says in one sentence that this machine lacks it. */
import util from 'node:util';

export interface LoadedTensorFlow {
  readonly tf: TensorFlow;
  /** Version of the C library. */
  readonly version: string;
}

/**
 * Limits TensorFlow to one thread and turns its log off, unless the environment says otherwise: a worker of several
 * threads opens several computers. Call it in the main thread before any thread loads the library: the library reads
 * the process environment once, and other threads only have a copy of it.
 */
export function prepareProcess(): void {
  process.env['TF_NUM_INTRAOP_THREADS'] ??= '1';
  process.env['TF_NUM_INTEROP_THREADS'] ??= '1';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
}

/**
 * Loads the library and makes it the backend of TensorFlow.js in this thread.
 * @throws Error with one sentence if the package or its native part is missing
 */
export async function loadTensorFlow(): Promise<LoadedTensorFlow> {
  // The package calls a function that Node 23 has removed.
  const legacy = util as { isNullOrUndefined?: (value: unknown) => boolean };
  legacy.isNullOrUndefined ??= (value) => value === null || value === undefined;
  let tf: TensorFlow;
  try {
    // Not a literal, so that the compiler does not look for a package that may not be installed.
    const name = '@tensorflow/tfjs-node';
    const loaded = (await import(name as string)) as TensorFlow & { default?: TensorFlow };
    tf = loaded.default ?? loaded;
  } catch (error) {
    throw new Error(absenceOf(error as Error & { code?: string }));
  }
  tf.enableProdMode();
  // TensorFlow.js has one engine per process, and another library may have set another backend on it.
  await tf.setBackend('tensorflow');
  const { binding } = tf.backend() as unknown as { binding: { TF_Version: string } };
  return { tf, version: binding.TF_Version };
}

const remedy = 'npm install @tensorflow/tfjs-node gets it, or in a clone of Lockstep npm run tfjs-node';

function absenceOf({ code, message }: Error & { code?: string }): string {
  if (code === 'ERR_MODULE_NOT_FOUND') {
    return `expected the package @tensorflow/tfjs-node, which is not installed: ${remedy}`;
  }
  if (message.includes('tfjs_binding.node')) {
    return `expected the native part of @tensorflow/tfjs-node, which is not installed: ${remedy}`;
  }
  return `@tensorflow/tfjs-node cannot be loaded: ${message.split('\n')[0]}`;
}

// The part of TensorFlow.js's interface that this package uses. With it the package builds even if
// @tensorflow/tfjs-node, 260 MB with its dependencies, is not installed.

export interface NativeTensor {
  readonly shape: number[];
  readonly size: number;
  dataSync(): ArrayLike<number>;
}

type Operand = NativeTensor | number;

type Pair = [height: number, width: number];

/** Functions with the name and the arguments of an op of `@lockstep/tensor`. */
export const unaryOps = ['abs', 'exp', 'log', 'neg', 'relu', 'sigmoid', 'softplus', 'sqrt', 'tanh'] as const;
export const binaryOps = ['add', 'div', 'maximum', 'minimum', 'mul', 'pow', 'sub'] as const;

type Unary = Readonly<Record<(typeof unaryOps)[number] | 'erf' | 'logSoftmax', (input: NativeTensor) => NativeTensor>>;
type Binary = Readonly<
  Record<(typeof binaryOps)[number] | 'equal' | 'notEqual', (left: Operand, right: Operand) => NativeTensor>
>;
type Reduction = Readonly<
  Record<'max' | 'min' | 'sum', (x: NativeTensor, axes?: number[], keepAxes?: boolean) => NativeTensor>
>;
type Pool = (images: NativeTensor, window: Pair, stride: Pair, padding: 'valid') => NativeTensor;

export interface TensorFlow extends Unary, Binary, Reduction {
  readonly version: { readonly 'tfjs-node': string };
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  backend(): object;
  getBackend(): string;
  memory(): { readonly numTensors: number };
  tensor(values: Float32Array, shape: number[]): NativeTensor;
  tidy(run: () => void): void;
  dispose(tensors: NativeTensor[]): void;
  valueAndGrads(loss: (...parameters: NativeTensor[]) => NativeTensor): (parameters: NativeTensor[]) => {
    readonly value: NativeTensor;
    readonly grads: NativeTensor[];
  };
  argMax(input: NativeTensor, axis: number): NativeTensor;
  matMul(left: NativeTensor, right: NativeTensor): NativeTensor;
  leakyRelu(input: NativeTensor, slope: number): NativeTensor;
  conv2d(images: NativeTensor, weight: NativeTensor, stride: Pair, padding: 'same' | 'valid'): NativeTensor;
  readonly maxPool: Pool;
  readonly avgPool: Pool;
  pad(input: NativeTensor, around: [number, number][], value: number): NativeTensor;
  slice(input: NativeTensor, begin: number[], size: number[]): NativeTensor;
  concat(tensors: NativeTensor[], axis: number): NativeTensor;
  where(condition: NativeTensor | boolean, whenTrue: Operand, whenFalse: Operand): NativeTensor;
  softmax(input: NativeTensor): NativeTensor;
  cast(input: NativeTensor, type: 'float32' | 'int32' | 'bool'): NativeTensor;
  oneHot(indices: NativeTensor, depth: number): NativeTensor;
  gather(input: NativeTensor, indices: NativeTensor, axis?: number): NativeTensor;
  reshape(input: NativeTensor, shape: number[]): NativeTensor;
  transpose(input: NativeTensor, order: number[]): NativeTensor;
}
