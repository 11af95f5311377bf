/** Softmax cross-entropy: what each row needs once, then losses and gradient from that. */
import type { CrossEntropyCall } from '../../../backend.ts';
import type { Source } from '../kernels/cells.ts';
import { crossEntropyGradientKernel, lossesKernel, rowStatisticsKernel } from '../kernels/cross-entropy.ts';
import type { Runner } from '../runner.ts';
import { firstOf, type Own, type Step } from './step.ts';

export function prepareCrossEntropy(runner: Runner, call: CrossEntropyCall, own: Own): Step {
  const { rows, classes } = call;
  if (rows === 0) return () => {};
  const { device } = runner;
  const { dialect } = device;
  const operands = [firstOf(own(call.logits), rows * classes), firstOf(own(call.labels), rows)];
  const losses = firstOf(own(call.losses), rows);
  const gradient = call.gradient === undefined ? undefined : firstOf(own(call.gradient), rows * classes);
  const kernels = runner.kernels();
  return () => {
    const { arrays, sources, key } = runner.operands(operands, [runner.specials]);
    const [logits, labels] = sources as [Source, Source];
    // The specials stand last; the gradient reads the rows' cells in their place.
    const last = arrays.length - 1;
    const shape = { rows, classes, logits, labels, specials: last, inputs: arrays.length };
    const statistics = device.run(
      kernels(`statistics ${key}`, () => rowStatisticsKernel(shape, dialect)),
      arrays,
    );
    const loss = device.run(
      kernels('losses', () => lossesKernel(rows, dialect)),
      [statistics],
    );
    const inputs = [...arrays.slice(0, last), statistics];
    const slope =
      gradient === undefined
        ? undefined
        : device.run(
            kernels(`gradient ${key}`, () => crossEntropyGradientKernel(shape, last, dialect)),
            inputs,
          );
    device.release(statistics);
    runner.write(losses, loss);
    if (gradient !== undefined && slope !== undefined) runner.write(gradient, slope);
  };
}
