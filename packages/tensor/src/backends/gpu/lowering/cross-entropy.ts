/** Softmax cross-entropy: what each row needs once, then losses and gradient from that. */
import type { CrossEntropyCall } from '../../../backend.ts';
import { crossEntropyGradientShader, lossesShader, rowStatisticsShader } from '../shaders/cross-entropy.ts';
import type { LoweringContext, Step } from './context.ts';

export function lowerCrossEntropy(call: CrossEntropyCall, { runner, device, stretchOf }: LoweringContext): Step {
  const { rows, classes } = call;
  if (rows === 0) return () => {};
  const operands = [stretchOf(call.logits, rows * classes), stretchOf(call.labels, rows)];
  const losses = stretchOf(call.losses, rows);
  const gradient = call.gradient && stretchOf(call.gradient, rows * classes);
  const kernels = runner.kernels();
  return () => {
    const { arrays, sources, key } = runner.operands(operands, [runner.specials]);
    const last = arrays.length - 1;
    const shape = { rows, classes, logits: sources[0]!, labels: sources[1]!, last };
    const statisticsKernel = kernels(`statistics ${key}`, () => rowStatisticsShader(shape, device));
    const statistics = device.run(statisticsKernel, arrays);
    const lossesKernel = kernels('losses', () => lossesShader(rows, device));
    const lossValues = device.run(lossesKernel, [statistics]);
    const gradientKernel = gradient && kernels(`gradient ${key}`, () => crossEntropyGradientShader(shape, device));
    const gradientValues = gradientKernel && device.run(gradientKernel, arrays.with(last, statistics));
    device.release(statistics);
    runner.write(losses, lossValues);
    if (gradient && gradientValues) runner.write(gradient, gradientValues);
  };
}
