/** Pooling, and its gradient. */
import type { PoolCall, UnpoolCall } from '../../../backend.ts';
import type { Placed } from '../../operands.ts';
import type { Runner, Stretch } from '../runner.ts';
import { poolShader, unpoolShader } from '../shaders/windows.ts';

export function lowerPool(call: Placed<PoolCall, Stretch>, runner: Runner): () => void {
  const { windows, input, output } = call;
  const over = (result: 'sum' | 'max' | 'argmaxIndices') =>
    runner.over([input], ([source]) => poolShader(windows, result, source!, runner.device));
  const values = over(call.reduction);
  if (call.reduction === 'sum') return () => runner.write(output, values());
  const { argmaxIndices } = call;
  const indices = over('argmaxIndices');
  return () => {
    // Computes both before writing either: an output may overwrite the input.
    const results = [values(), indices()] as const;
    runner.write(output, results[0]);
    runner.write(argmaxIndices, results[1]);
  };
}

export function lowerUnpool(call: Placed<UnpoolCall, Stretch>, runner: Runner): () => void {
  const { windows, input, argmaxIndices, output } = call;
  if (input.length === 0) return runner.fill(output, 0);
  const operands = argmaxIndices === undefined ? [input] : [input, argmaxIndices];
  const compute = runner.over(operands, (sources, inputs) => unpoolShader(windows, sources, inputs, runner.device));
  return () => runner.write(output, compute());
}
