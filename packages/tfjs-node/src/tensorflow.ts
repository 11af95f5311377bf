/**
 * The part of TensorFlow.js's interface that this package uses. With it the package builds even if
 * @tensorflow/tfjs-node, 260 MB with its dependencies, is not installed.
 */

export interface Tensor {
  readonly shape: number[];
  readonly size: number;
  dataSync(): ArrayLike<number>;
}

export interface TensorFlow {
  readonly version: { readonly 'tfjs-node': string };
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  backend(): object;
  getBackend(): string;
  memory(): { readonly numTensors: number };
  tensor(values: Float32Array, shape: number[]): Tensor;
  tensor1d(values: Int32Array, type: 'int32'): Tensor;
  oneHot(indices: Tensor, depth: number): Tensor;
  tidy(run: () => void): void;
  dispose(tensors: Tensor[]): void;
  valueAndGrads(loss: (...parameters: Tensor[]) => Tensor): (parameters: Tensor[]) => {
    readonly value: Tensor;
    readonly grads: Tensor[];
  };
  abs(input: Tensor): Tensor;
  erf(input: Tensor): Tensor;
  logSoftmax(input: Tensor): Tensor;
  neg(input: Tensor): Tensor;
  relu(input: Tensor): Tensor;
  sigmoid(input: Tensor): Tensor;
  softplus(input: Tensor): Tensor;
  sum(input: Tensor): Tensor;
  tanh(input: Tensor): Tensor;
  add(left: Tensor, right: Tensor | number): Tensor;
  div(left: Tensor, right: Tensor | number): Tensor;
  mul(left: Tensor, right: Tensor | number): Tensor;
  matMul(left: Tensor, right: Tensor): Tensor;
  leakyRelu(input: Tensor, slope: number): Tensor;
  conv2d(images: Tensor, weight: Tensor, stride: number, padding: 'same' | 'valid'): Tensor;
  maxPool(images: Tensor, window: number, stride: number, padding: 'valid'): Tensor;
  avgPool(images: Tensor, window: number, stride: number, padding: 'valid'): Tensor;
  pad(input: Tensor, around: [number, number][], value: number): Tensor;
  reshape(input: Tensor, shape: number[]): Tensor;
}
