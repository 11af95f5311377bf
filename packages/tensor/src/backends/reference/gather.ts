/** Values picked by index along an axis, and the adjoint that adds them back. */
import type { GatherCall, ScatterAddCall } from '../../backend.ts';
import { valuesOf } from './storage.ts';

/** Calls `visit` with the place in the long axis's array and the place among the picked, in increasing order of the latter. */
function walk(
  { outer, length, inner, count, ownIndices }: GatherCall | ScatterAddCall,
  indices: Float32Array,
  visit: (long: number | undefined, picked: number) => void,
): void {
  for (let block = 0; block < outer; block++) {
    for (let position = 0; position < count; position++) {
      for (let column = 0; column < inner; column++) {
        const picked = (block * count + position) * inner + column;
        const index = indices[ownIndices ? picked : position]!;
        const valid = Number.isInteger(index) && index >= 0 && index < length;
        visit(valid ? (block * length + index) * inner + column : undefined, picked);
      }
    }
  }
}

export function prepareGather(call: GatherCall): () => void {
  const [source, indices, output] = [call.input, call.indices, call.output].map(valuesOf) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return () => {
    walk(call, indices, (long, picked) => {
      output[picked] = long === undefined ? Number.NaN : source[long]!;
    });
  };
}

export function prepareScatterAdd(call: ScatterAddCall): () => void {
  const [source, indices, output] = [call.input, call.indices, call.output].map(valuesOf) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  return () => {
    output.fill(0, 0, call.outer * call.length * call.inner);
    walk(call, indices, (long, picked) => {
      if (long !== undefined) output[long]! += source[picked]!;
    });
  };
}
