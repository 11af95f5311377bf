/** Values out of tensors: what chapters compute with the engine, as numbers. */
import { type HostBackend, type Tensor, tidy, valueAndGrad } from '@lockstep/tensor';

/** The values of the tensor that `body` computes; all that it made is freed. */
export function valuesOf(backend: HostBackend, body: () => Tensor): Float32Array {
  return tidy(() => backend.view(body().storage).slice());
}

/** As `valuesOf`, of a tensor with one value. */
export function scalarOf(backend: HostBackend, body: () => Tensor): number {
  return valuesOf(backend, body)[0]!;
}

/** The value of `loss` at `parameters`, which are made in it, and its gradient by each. */
export function gradientsOf(
  backend: HostBackend,
  parameters: () => readonly Tensor[],
  loss: (...parameters: Tensor[]) => Tensor,
): { readonly value: number; readonly gradients: readonly Float32Array[] } {
  return tidy(() => {
    const { value, gradients } = valueAndGrad(loss, parameters());
    const read = (tensor: Tensor): Float32Array => backend.view(tensor.storage).slice();
    return { value: read(value)[0]!, gradients: gradients.map(read) };
  });
}

/** `count` numbers from `from` to `to`, evenly spaced, both included. */
export function spaced(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + ((to - from) * index) / (count - 1));
}

export function meanOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}
