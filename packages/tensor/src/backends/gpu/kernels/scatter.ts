/** The text of a kernel that puts values where a strided layout says, and leaves what lies between. */
import type { Shape } from '../../../shape.ts';
import { contiguousStrides } from '../../../shape.ts';
import type { Dialect, KernelSource } from '../device.ts';
import { flatThreads, lanes, plus, quotient, remainder, times } from './cells.ts';

interface Axis {
  readonly length: number;
  /** In the values, and in what they are put into. */
  readonly from: number;
  readonly to: number;
}

function axesOf(shape: Shape, strides: readonly number[]): Axis[] {
  const contiguous = contiguousStrides(shape);
  return shape
    .map((length, axis) => ({ length, from: contiguous[axis]!, to: strides[axis]! }))
    .filter(({ length }) => length > 1)
    .sort((one, other) => other.to - one.to);
}

/** Whether each axis steps over all that the smaller ones reach, so that a place tells its element. */
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

/** Array 0 holds the values, contiguous; array 1, from `offset` on, `length` places with their old values. */
export function scatterKernel(
  { shape, strides, length, offset }: { shape: Shape; strides: readonly number[]; length: number; offset: number },
  dialect: Dialect,
): KernelSource {
  const axes = axesOf(shape, strides);
  const lines = lanes.flatMap((lane) => {
    const place = plus('4 * this.thread.x', lane);
    let rest = place;
    const conditions: string[] = [];
    const terms = axes.map(({ length: count, from, to }) => {
      const index = quotient(rest, to);
      rest = remainder(rest, to);
      conditions.push(`${index} < ${count}`);
      return times(from, index);
    });
    if (rest !== '0') conditions.push(`${rest} === 0`);
    const old = dialect.value(1, plus(place, offset));
    return [
      `let v${lane} = ${old};`,
      `if (${conditions.join(' && ')}) { v${lane} = ${dialect.value(0, plus(...terms))}; }`,
    ];
  });
  const body = [...lines, 'return [v0, v1, v2, v3];'].join('\n');
  return { inputs: 2, length, threads: flatThreads(length), body };
}
