/** Reductions: one kernel, or two for a long sum. */
import type { ReduceCall, Reduction } from '../../../backend.ts';
import type { DeviceArray } from '../device.ts';
import { argmaxKernel, extremeKernel, partialSumKernel, type ReduceKernel, sumKernel } from '../kernels/reduce.ts';
import type { Runner } from '../runner.ts';
import { filled, firstOf, type Own, type Step } from './step.ts';

/** A sum over more values than this, with few results, is taken in two passes. */
const longSum = 1024;
const fewResults = 2048;

export function prepareReduce(runner: Runner, call: ReduceCall, own: Own): Step {
  const { outer, length, inner, reduction } = call;
  const size = outer * inner;
  if (size === 0) return () => {};
  const { device } = runner;
  const input = firstOf(own(call.input), outer * length * inner);
  const output = firstOf(own(call.output), size);
  const kernels = runner.kernels();
  if (length === 0) return filled(runner, output, 0);
  const parts = Math.ceil(Math.sqrt(length));
  const step = Math.ceil(length / parts);
  const twice = reduction === 'sum' && length > longSum && size < fewResults;
  const result = (kind: Reduction | 'parts' | 'ofParts', from: DeviceArray, offset: number): DeviceArray => {
    const shape: ReduceKernel = { outer, length, inner, source: { input: 0, offset } };
    const kernel = kernels(`${kind} ${offset}`, () => {
      switch (kind) {
        case 'argmax':
          return argmaxKernel(shape, device.dialect);
        case 'max':
        case 'min':
          return extremeKernel(shape, kind, device.dialect);
        case 'parts':
          return partialSumKernel(shape, parts, step, device.dialect);
        case 'ofParts':
          return sumKernel({ ...shape, length: parts }, device.dialect, device);
        case 'sum':
          return sumKernel(shape, device.dialect, device);
        default:
          return kind satisfies never;
      }
    });
    return device.run(kernel, [from]);
  };
  return () => {
    const { arrays, sources } = runner.operands([input]);
    const [array, { offset }] = [arrays[0]!, sources[0]!];
    if (!twice) {
      runner.write(output, result(reduction, array, offset));
      return;
    }
    const partial = result('parts', array, offset);
    const sums = result('ofParts', partial, 0);
    device.release(partial);
    runner.write(output, sums);
  };
}
