/** Gather along an axis, and its adjoint. */
import type { GatherCall, ScatterAddCall } from '../../backend.ts';
import type { Placed } from '../operands.ts';

/**
 * Visits the picked elements in order: their position among the picked, and in the long array if the index is valid.
 */
function forEachPicked(
  { outer, length, inner, count, ownIndices, indices }: Placed<GatherCall | ScatterAddCall, Float32Array>,
  visit: (picked: number, long: number | undefined) => void,
): void {
  for (let row = 0; row < outer; row++) {
    for (let position = 0; position < count; position++) {
      for (let column = 0; column < inner; column++) {
        const picked = (row * count + position) * inner + column;
        const index = indices[ownIndices ? picked : position]!;
        const valid = Number.isInteger(index) && index >= 0 && index < length;
        visit(picked, valid ? (row * length + index) * inner + column : undefined);
      }
    }
  }
}

export function gather(call: Placed<GatherCall, Float32Array>): void {
  const { input, output } = call;
  forEachPicked(call, (picked, long) => {
    output[picked] = long === undefined ? Number.NaN : input[long]!;
  });
}

export function scatterAdd(call: Placed<ScatterAddCall, Float32Array>): void {
  const { input, output } = call;
  output.fill(0);
  forEachPicked(call, (picked, long) => {
    if (long !== undefined) output[long]! += input[picked]!;
  });
}
