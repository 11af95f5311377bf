/** Numbers of the engine: read from tensors, and computed over the plane. */
import { type HostBackend, type Tensor, tidy, valueAndGrad } from '@lockstep/tensor';

/** Mean loss and accuracy, from 0 to 1, over samples. */
export interface Measured {
  readonly loss: number;
  readonly accuracy: number;
}

/** Returns the values of the tensor that `body` computes, and frees everything that `body` allocated. */
export function valuesOf(backend: HostBackend, body: () => Tensor): Float32Array {
  return tidy(() => backend.view(body().storage).slice());
}

/** Like `valuesOf`, for a tensor with one value. */
export function scalarOf(backend: HostBackend, body: () => Tensor): number {
  return valuesOf(backend, body)[0]!;
}

/**
 * Returns the value of `loss` at `parameters`, and its gradient with respect to each. `parameters` allocates the
 * tensors, which are freed in the end.
 */
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

/** Returns `count` evenly spaced numbers from `from` to `to`, inclusive. */
export function spaced(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + ((to - from) * index) / (count - 1));
}

export function meanOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Returns the attention weights of each head among the first `shown` tokens, [shown, shown].
 * @param weights of all tokens, [heads, tokens, tokens]
 */
export function attentionMaps(weights: Float32Array, tokens: number, shown: number): Float32Array[] {
  return Array.from({ length: weights.length / tokens ** 2 }, (_, head) =>
    Float32Array.from({ length: shown ** 2 }, (_, index) => {
      const [row, column] = [Math.floor(index / shown), index % shown];
      return weights[(head * tokens + row) * tokens + column]!;
    }),
  );
}

export interface PlaneGrid {
  readonly rows: number;
  readonly columns: number;
  /** Centers of the cells, row after row from the largest y: [rows * columns, 2]. */
  readonly centers: Float32Array;
}

/** @param extent ends of both axes @param cells number along each axis */
export function planeGrid([from, to]: readonly [number, number], cells: number): PlaneGrid {
  const centers = new Float32Array(cells * cells * 2);
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const at = 2 * (row * cells + column);
      centers[at] = from + ((to - from) * (column + 0.5)) / cells;
      centers[at + 1] = to - ((to - from) * (row + 0.5)) / cells;
    }
  }
  return { rows: cells, columns: cells, centers };
}
