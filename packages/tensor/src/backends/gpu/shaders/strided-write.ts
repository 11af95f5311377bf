/** Writes values in a strided layout and keeps the values between them. */
import { contiguousStrides, type Shape } from '../../../shape.ts';
import type { KernelSource } from '../device.ts';
import { elementAt, flatKernel, lanes, plus, quotient, remainder, returnCell, type Target, times } from './code.ts';

/** Axes with their strides in the values (`from`) and in the target (`to`), the largest target stride first. */
function axesOf(shape: Shape, strides: readonly number[]) {
  const contiguous = contiguousStrides(shape);
  return shape
    .map((length, axis) => ({ length, from: contiguous[axis]!, to: strides[axis]! }))
    .filter(({ length }) => length > 1)
    .sort((one, other) => other.to - one.to);
}

/** Whether each axis steps past everything that the smaller ones reach, so that a position determines its element. */
export function isNested(shape: Shape, strides: readonly number[]): boolean {
  let reach = 0;
  return axesOf(shape, strides)
    .reverse()
    .every(({ length, to }) => {
      const over = to > reach;
      reach += (length - 1) * to;
      return over;
    });
}

/** Array 0 holds the values, contiguous; array 1 holds `length` old values of the target from `offset` on. */
export function stridedWriteShader(
  { shape, strides, length, offset }: { shape: Shape; strides: readonly number[]; length: number; offset: number },
  { dialect }: Target,
): KernelSource {
  const axes = axesOf(shape, strides);
  const lines = lanes.flatMap((lane) => {
    let rest = elementAt(lane);
    const old = dialect.value(1, plus(rest, offset));
    const conditions: string[] = [];
    const terms = axes.map(({ length: count, from, to }) => {
      const index = quotient(rest, to);
      rest = remainder(rest, to);
      conditions.push(`${index} < ${count}`);
      return times(from, index);
    });
    if (rest !== '0') conditions.push(`${rest} === 0`);
    return [
      `let v${lane} = ${old};`,
      `if (${conditions.join(' && ')}) { v${lane} = ${dialect.value(0, plus(...terms))}; }`,
    ];
  });
  return flatKernel(2, length, [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}
