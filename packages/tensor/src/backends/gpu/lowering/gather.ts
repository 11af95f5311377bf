/** Picking along an axis by index, and its adjoint. */
import type { GatherCall, ScatterAddCall } from '../../../backend.ts';
import { gatherShader, scatterAddShader } from '../shaders/gather.ts';
import { fill, type LoweringContext, type Step } from './context.ts';

export function lowerGather(call: GatherCall | ScatterAddCall, context: LoweringContext): Step {
  const { runner, device, stretchOf } = context;
  const { kind, outer, length, inner, count, ownIndices } = call;
  const [long, picked] = [outer * length * inner, outer * count * inner];
  const [read, written] = kind === 'gather' ? [long, picked] : [picked, long];
  if (written === 0) return () => {};
  const output = stretchOf(call.output, written);
  if (read === 0) return fill(context, output, kind === 'gather' ? Number.NaN : 0);
  const operands = [stretchOf(call.input, read), stretchOf(call.indices, ownIndices ? picked : count)];
  const shader = kind === 'gather' ? gatherShader : scatterAddShader;
  const sizes = { outer, length, inner, count, ownIndices };
  const compute = runner.over(
    operands,
    ([values, indices], inputs) =>
      shader({ ...sizes, values: values!, indices: indices!, specials: inputs - 1 }, device),
    true,
  );
  return () => runner.write(output, compute());
}
