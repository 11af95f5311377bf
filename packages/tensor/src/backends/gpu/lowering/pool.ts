/** Pooling, and its gradient. */
import type { PoolCall, UnpoolCall } from '../../../backend.ts';
import { imageSize, windowCount } from '../../../windows.ts';
import { poolShader, unpoolShader } from '../shaders/windows.ts';
import { fill, type LoweringContext, type Step } from './context.ts';

export function lowerPool(call: PoolCall, { runner, device, stretchOf }: LoweringContext): Step {
  const { windows } = call;
  const size = windowCount(windows) * windows.channels;
  if (size === 0) return () => {};
  const input = stretchOf(call.input, imageSize(windows));
  const output = stretchOf(call.output, size);
  const over = (result: 'sum' | 'max' | 'argmaxIndices') =>
    runner.over([input], ([source]) => poolShader(windows, result, source!, device));
  const values = over(call.reduction);
  if (call.reduction === 'sum') return () => runner.write(output, values());
  const argmaxIndices = stretchOf(call.argmaxIndices, size);
  const indices = over('argmaxIndices');
  return () => {
    // Both before the first is written: an output may be where the input was.
    const results = [values(), indices()] as const;
    runner.write(output, results[0]);
    runner.write(argmaxIndices, results[1]);
  };
}

export function lowerUnpool(call: UnpoolCall, context: LoweringContext): Step {
  const { runner, device, stretchOf } = context;
  const { windows } = call;
  const output = stretchOf(call.output, imageSize(windows));
  if (output.length === 0) return () => {};
  const size = windowCount(windows) * windows.channels;
  if (size === 0) return fill(context, output, 0);
  const operands = [stretchOf(call.input, size)];
  if (call.argmaxIndices) operands.push(stretchOf(call.argmaxIndices, size));
  const compute = runner.over(operands, ([values, indices], inputs) =>
    unpoolShader(windows, values!, indices, inputs, device),
  );
  return () => runner.write(output, compute());
}
