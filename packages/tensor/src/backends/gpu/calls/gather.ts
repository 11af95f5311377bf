/** Picking along an axis by index, and its adjoint. */
import type { GatherCall, ScatterAddCall } from '../../../backend.ts';
import type { Source } from '../kernels/cells.ts';
import { gatherKernel, scatterAddKernel } from '../kernels/gather.ts';
import type { Runner } from '../runner.ts';
import { filled, firstOf, type Own, type Step } from './step.ts';

export function prepareGather(runner: Runner, call: GatherCall | ScatterAddCall, own: Own): Step {
  const { kind, outer, length, inner, count, ownIndices } = call;
  const [long, picked] = [outer * length * inner, outer * count * inner];
  const [read, written] = kind === 'gather' ? [long, picked] : [picked, long];
  if (written === 0) return () => {};
  const output = firstOf(own(call.output), written);
  if (read === 0) return filled(runner, output, kind === 'gather' ? Number.NaN : 0);
  const { device } = runner;
  const operands = [firstOf(own(call.input), read), firstOf(own(call.indices), ownIndices ? picked : count)];
  const kernels = runner.kernels();
  return () => {
    const { arrays, sources, key } = runner.operands(operands, [runner.specials]);
    const [values, indices] = sources as [Source, Source];
    const kernel = kernels(key, () => {
      const sizes = { outer, length, inner, count, ownIndices };
      const places = { values, indices, specials: arrays.length - 1, inputs: arrays.length };
      return (kind === 'gather' ? gatherKernel : scatterAddKernel)({ ...sizes, ...places }, device.dialect);
    });
    runner.write(output, device.run(kernel, arrays));
  };
}
