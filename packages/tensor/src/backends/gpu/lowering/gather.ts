/** Gather along a middle axis, and its adjoint. */
import type { GatherCall, ScatterAddCall } from '../../../backend.ts';
import type { Placed } from '../../operands.ts';
import type { Runner, Stretch } from '../runner.ts';
import {
  elementAt,
  flatKernel,
  lanes,
  plus,
  quotient,
  remainder,
  returnCell,
  type Source,
  sumLoop,
  type Target,
  times,
} from '../shaders/code.ts';

type Call = Placed<GatherCall | ScatterAddCall, Stretch>;

export function lowerGather(call: Call, runner: Runner): () => void {
  const { kind, input, output } = call;
  if (input.length === 0) return runner.fill(output, kind === 'gather' ? Number.NaN : 0);
  const shader = kind === 'gather' ? gatherShader : scatterAddShader;
  const compute = runner.over(
    [input, call.indices],
    ([values, indices], inputs) =>
      flatKernel(inputs, output.length, shader(call, values!, indices!, inputs - 1, runner.device)),
    true,
  );
  return () => runner.write(output, compute());
}

/** `[outer, length, inner] -> [outer, count, inner]`; array `specials` begins with NaN. */
function gatherShader(call: Call, values: Source, indices: Source, specials: number, { dialect }: Target): string[] {
  const { length, inner, count, ownIndices } = call;
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
  return [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])];
}

/** `[outer, count, inner] -> [outer, length, inner]`: each place sums the values with its index. */
function scatterAddShader(
  call: Call,
  values: Source,
  indices: Source,
  _specials: number,
  { dialect }: Target,
): string[] {
  const { length, inner, count, ownIndices } = call;
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
  return sumLoop(count, add);
}
