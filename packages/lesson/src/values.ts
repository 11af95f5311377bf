/** Numbers of the engine: read from tensors, computed over the plane, and formatted as text. */
import { type HostBackend, type Tensor, tidy, valueAndGrad } from '@lockstep/tensor';

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

export interface PlaneGrid {
  readonly rows: number;
  readonly columns: number;
  /** Centers of the cells, row after row from the largest y: [rows * columns, 2]. */
  readonly centers: Float32Array;
}

export function planeGrid(
  [left, right]: readonly [number, number],
  [bottom, top]: readonly [number, number],
  cells: number,
): PlaneGrid {
  const centers = new Float32Array(cells * cells * 2);
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const at = 2 * (row * cells + column);
      centers[at] = left + ((right - left) * (column + 0.5)) / cells;
      centers[at + 1] = top - ((top - bottom) * (row + 0.5)) / cells;
    }
  }
  return { rows: cells, columns: cells, centers };
}

/** Formats a rounded number as `101,770`, independent of the machine's language. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Formats a large number with three digits: "13.1 million", "662 billion". */
export function inWords(value: number): string {
  const [unit, name] = value >= 1e9 ? [1e9, 'billion'] : [1e6, 'million'];
  return `${Number((value / unit).toPrecision(3))} ${name}`;
}

/** Formats with `digits` decimal places, or as a power of ten if the number is too small or too large for that. */
export function decimal(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'infinity' : '-infinity';
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.5 * 10 ** -digits || size >= 1e6)) return value.toExponential(2);
  // Avoids "-0.000".
  return (value + 0).toFixed(digits);
}

/** Formats with `digits` significant digits: 123456.7 -> "123457". */
export function significant(value: number, digits = 6): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(2);
  return `${Number(value.toPrecision(digits))}`;
}

/** Formats a fraction: 0.936 -> "93.60 %". */
export function percent(fraction: number, digits = 2): string {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** Formats a shape: "[32, 512, 768]", or "[]" for a scalar. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
