/** Picking along a middle axis by index, and its adjoint. */
import type { GatherCall, ScatterAddCall } from '../../../backend.ts';
import type { Dialect } from '../device.ts';
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
  times,
} from '../shaders/code.ts';
import { fill, type LoweringContext, type Step } from './context.ts';

type Call = GatherCall | ScatterAddCall;

export function lowerGather(call: Call, context: LoweringContext): Step {
  const { runner, device, stretchOf } = context;
  const { kind, outer, length, inner, count, ownIndices } = call;
  const [long, picked] = [outer * length * inner, outer * count * inner];
  const [read, written] = kind === 'gather' ? [long, picked] : [picked, long];
  if (written === 0) return () => {};
  const output = stretchOf(call.output, written);
  if (read === 0) return fill(context, output, kind === 'gather' ? Number.NaN : 0);
  const operands = [stretchOf(call.input, read), stretchOf(call.indices, ownIndices ? picked : count)];
  const shader = kind === 'gather' ? gatherShader : scatterAddShader;
  const compute = runner.over(
    operands,
    ([values, indices], inputs) => flatKernel(inputs, written, shader(call, values!, indices!, inputs - 1, device)),
    true,
  );
  return () => runner.write(output, compute());
}

type Target = { readonly dialect: Dialect };

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

/** `[outer, count, inner] -> [outer, length, inner]`: every place adds up the values with its index. */
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
