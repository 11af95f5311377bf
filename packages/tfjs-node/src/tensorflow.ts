/**
 * The part of TensorFlow.js's interface that this package uses, so that it builds where @tensorflow/tfjs-node, 260 MB
 * with what it brings, is not installed. A test holds it against the package's own types.
 */

export interface Tensor {
  readonly shape: number[];
  readonly size: number;
  dataSync(): ArrayLike<number>;
}

type Unary = (input: Tensor) => Tensor;
type Binary = (left: Tensor, right: Tensor | number) => Tensor;
type Pool = (images: Tensor, window: number, stride: number, padding: 'valid') => Tensor;

export interface TensorFlow {
  readonly version: { readonly 'tfjs-node': string };
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  backend(): object;
  getBackend(): string;
  memory(): { readonly numTensors: number };
  tensor(values: Float32Array, shape: number[]): Tensor;
  tensor1d(values: Uint8Array, type: 'int32'): Tensor;
  oneHot(indices: Tensor, depth: number): Tensor;
  tidy(run: () => void): void;
  dispose(tensors: Tensor[]): void;
  valueAndGrads(loss: (...parameters: Tensor[]) => Tensor): (parameters: Tensor[]) => {
    readonly value: Tensor;
    readonly grads: Tensor[];
  };
  readonly abs: Unary;
  readonly erf: Unary;
  readonly logSoftmax: Unary;
  readonly neg: Unary;
  readonly relu: Unary;
  readonly sigmoid: Unary;
  readonly softplus: Unary;
  readonly sum: Unary;
  readonly tanh: Unary;
  readonly add: Binary;
  readonly div: Binary;
  readonly mul: Binary;
  matMul(left: Tensor, right: Tensor): Tensor;
  leakyRelu(input: Tensor, slope: number): Tensor;
  conv2d(images: Tensor, weight: Tensor, stride: number, padding: 'same' | 'valid'): Tensor;
  readonly maxPool: Pool;
  readonly avgPool: Pool;
  pad(input: Tensor, around: [number, number][], value: number): Tensor;
  reshape(input: Tensor, shape: number[]): Tensor;
}
