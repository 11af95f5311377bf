/** Reductions: one kernel, or two for a long sum. */
import type { ReduceCall } from '../../../backend.ts';
import { partialSumShader, reduceShader, sumShader } from '../shaders/reduce.ts';
import { fill, type LoweringContext, type Step } from './context.ts';

/** A sum over more values than this, with few results, is taken in two passes. */
const longSum = 1024;
const fewResults = 2048;

export function lowerReduce(call: ReduceCall, context: LoweringContext): Step {
  const { runner, device, stretchOf } = context;
  const { outer, length, inner, reduction } = call;
  const size = outer * inner;
  if (size === 0) return () => {};
  const output = stretchOf(call.output, size);
  if (length === 0) return fill(context, output, 0);
  const input = stretchOf(call.input, size * length);
  if (reduction !== 'sum' || length <= longSum || size >= fewResults) {
    const compute = runner.over([input], ([source]) =>
      reduceShader({ outer, length, inner, source: source! }, reduction, device),
    );
    return () => runner.write(output, compute());
  }
  const parts = Math.ceil(Math.sqrt(length));
  const partial = runner.over([input], ([source]) =>
    partialSumShader({ outer, length, inner, source: source! }, parts, Math.ceil(length / parts), device),
  );
  const sum = device.compile(sumShader({ outer, length: parts, inner, source: { input: 0, offset: 0 } }, device));
  return () => runner.write(output, runner.consume(sum, partial()));
}
