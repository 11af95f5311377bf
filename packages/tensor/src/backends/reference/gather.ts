/** Values picked by index along an axis, and the adjoint that adds them back. */
import type { GatherCall, HostBackend, ScatterAddCall } from '../../backend.ts';

/** Visits the picked elements in order: the place of each among the picked, and in the long array if the index is valid. */
function forEachPicked(
  { outer, length, inner, count, ownIndices }: GatherCall | ScatterAddCall,
  indices: Float32Array,
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

export function prepareGather(call: GatherCall, valuesOf: HostBackend['view']): () => void {
  const [input, indices, output] = [valuesOf(call.input), valuesOf(call.indices), valuesOf(call.output)];
  return () => {
    forEachPicked(call, indices, (picked, long) => {
      output[picked] = long === undefined ? Number.NaN : input[long]!;
    });
  };
}

export function prepareScatterAdd(call: ScatterAddCall, valuesOf: HostBackend['view']): () => void {
  const [input, indices, output] = [valuesOf(call.input), valuesOf(call.indices), valuesOf(call.output)];
  return () => {
    output.fill(0, 0, call.outer * call.length * call.inner);
    forEachPicked(call, indices, (picked, long) => {
      if (long !== undefined) output[long]! += input[picked]!;
    });
  };
}
