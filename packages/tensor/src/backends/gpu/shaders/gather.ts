/** Picking along a middle axis by index, and its adjoint. */
import type { GatherCall, ScatterAddCall } from '../../../backend.ts';
import type { KernelSource } from '../device.ts';
import {
  elementAt,
  flatKernel,
  lanes,
  loop,
  plus,
  quotient,
  remainder,
  returnCell,
  returnSums,
  type Source,
  type Target,
  times,
  zeroSums,
} from './code.ts';

type Sizes = Pick<GatherCall | ScatterAddCall, 'outer' | 'length' | 'inner' | 'count' | 'ownIndices'>;

export interface GatherShader extends Sizes {
  readonly values: Source;
  readonly indices: Source;
  /** The last array, which begins with NaN. */
  readonly specials: number;
}

/** `[outer, length, inner] -> [outer, count, inner]`. */
export function gatherShader(call: GatherShader, { dialect }: Target): KernelSource {
  const { outer, length, inner, count, ownIndices, values, indices, specials } = call;
  const lines = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const position = remainder(quotient(element, inner), count);
    const index = dialect.value(indices.input, plus(ownIndices ? element : position, indices.offset));
    const row = times(length * inner, quotient(element, count * inner));
    const value = plus(row, times(inner, `whole(i${lane})`), remainder(element, inner), values.offset);
    return [
      `const i${lane} = ${index};`,
      `let v${lane} = ${dialect.value(specials, '0')};`,
      `if (i${lane} >= 0.0 && i${lane} < ${length} && Math.floor(i${lane}) === i${lane}) {`,
      `v${lane} = ${dialect.value(values.input, value)};`,
      '}',
    ];
  });
  return flatKernel(specials + 1, outer * count * inner, [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}

/** `[outer, count, inner] -> [outer, length, inner]`: every place adds up the values with its index. */
export function scatterAddShader(call: GatherShader, { dialect }: Target): KernelSource {
  const { outer, length, inner, count, ownIndices, values, indices, specials } = call;
  const add = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const place = remainder(quotient(element, inner), length);
    const row = times(count * inner, quotient(element, length * inner));
    const picked = plus(row, times(inner, 'i'), remainder(element, inner));
    const index = dialect.value(indices.input, plus(ownIndices ? picked : 'i', indices.offset));
    const value = dialect.value(values.input, plus(picked, values.offset));
    return [
      `const i${lane} = ${index};`,
      `const p${lane} = ${place};`,
      `if (i${lane} === p${lane}) { s${lane} += ${value}; }`,
    ];
  });
  return flatKernel(specials + 1, outer * length * inner, [...zeroSums, ...loop(count, add), returnSums]);
}
