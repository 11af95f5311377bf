/** Reductions: one kernel, or two for a long sum. */
import type { ReduceCall } from '../../../backend.ts';
import type { Placed } from '../../operands.ts';
import type { Runner, Stretch } from '../runner.ts';
import { partialSumShader, selectShader, sumShader } from '../shaders/reduce.ts';

/** A sum longer than this takes two passes if it has few results. */
const longSum = 1024;
const fewResults = 2048;
/** A sum longer than this always takes two passes: a single chain would round too often. */
const longestRun = 65_536;

export function lowerReduce(call: Placed<ReduceCall, Stretch>, runner: Runner): () => void {
  const { outer, length, inner, reduction, input, output } = call;
  if (length === 0) return runner.fill(output, 0);
  const sizes = { outer, length, inner };
  const onePass = length <= longSum || (output.length >= fewResults && length <= longestRun);
  if (reduction !== 'sum' || onePass) {
    const compute = runner.over([input], ([source]) => {
      const read = { ...sizes, source: source! };
      return reduction === 'sum' ? sumShader(read, runner.device) : selectShader(read, reduction, runner.device);
    });
    return () => runner.write(output, compute());
  }
  const parts = Math.ceil(Math.sqrt(length));
  const partial = runner.over([input], ([source]) =>
    partialSumShader({ ...sizes, source: source! }, parts, Math.ceil(length / parts), runner.device),
  );
  const sum = runner.device.compile(
    sumShader({ outer, length: parts, inner, source: { input: 0, offset: 0 } }, runner.device),
  );
  return () => runner.write(output, runner.consume(sum, partial()));
}
