/** Convolution as unfolding and a product, and pooling. */
import type { ConvolutionCall, PoolCall, UnpoolCall } from '../../../backend.ts';
import { imageSize, windowCount } from '../../../windows.ts';
import type { Source } from '../kernels/cells.ts';
import { foldKernel, poolKernel, unfoldKernel, unpoolKernel } from '../kernels/windows.ts';
import type { Runner } from '../runner.ts';
import { createProduct, withOperand } from './matmul.ts';
import { filled, firstOf, type Own, type Step } from './step.ts';

const start: Source = { input: 0, offset: 0 };

/** What unfolding and folding need of the windows. */
function sizesOf({ windows, filters }: ConvolutionCall): { count: number; patch: number; kernel: number } {
  const patch = windows.windowHeight * windows.windowWidth * windows.channels;
  return { count: windowCount(windows), patch, kernel: patch * filters };
}

export function prepareConvolution(runner: Runner, call: ConvolutionCall, own: Own): Step {
  return call.result === 'inputGradient' ? prepareInputGradient(runner, call, own) : prepareUnfolded(runner, call, own);
}

/** `unfolded x kernel`, or `unfolded, transposed, x gradient`. */
function prepareUnfolded(runner: Runner, call: ConvolutionCall, own: Own): Step {
  const { device } = runner;
  const { windows, filters, result, epilogue } = call;
  const { count, patch, kernel } = sizesOf(call);
  const forward = result === 'output';
  const images = firstOf(own(call.left), imageSize(windows));
  const right = firstOf(own(call.right), forward ? kernel : count * filters);
  const output = firstOf(own(call.output), forward ? count * filters : kernel);
  if (output.length === 0) return () => {};
  if (count * patch === 0 && epilogue === undefined) return filled(runner, output, 0);
  const bias = epilogue?.bias && firstOf(own(epilogue.bias), filters);
  const product = createProduct(runner, {
    m: forward ? count : patch,
    k: forward ? patch : count,
    n: filters,
    transposeLeft: !forward,
    transposeRight: false,
    epilogue,
  });
  const kernels = runner.kernels();
  return () => {
    const operands = runner.operands([images, right, ...(bias ? [bias] : [])]);
    const from = operands.sources[0]!;
    const unfold = kernels(String(from.offset), () =>
      unfoldKernel(windows, { input: 0, offset: from.offset }, device.dialect, device),
    );
    const unfolded = device.run(unfold, [operands.arrays[from.input]!]);
    const values = product(withOperand(operands, 0, unfolded));
    device.release(unfolded);
    runner.write(output, values);
  };
}

/** `gradient x kernel, transposed`, folded back onto the pixels. */
function prepareInputGradient(runner: Runner, call: ConvolutionCall, own: Own): Step {
  const { device } = runner;
  const { windows, filters } = call;
  const { count, patch, kernel } = sizesOf(call);
  const operands = [firstOf(own(call.left), count * filters), firstOf(own(call.right), kernel)];
  const output = firstOf(own(call.output), imageSize(windows));
  if (output.length === 0) return () => {};
  if (count * filters === 0) return filled(runner, output, 0);
  const product = createProduct(runner, {
    ...{ m: count, k: filters, n: patch },
    transposeLeft: false,
    transposeRight: true,
  });
  const kernels = runner.kernels();
  return () => {
    const columns = product(runner.operands(operands));
    const fold = kernels('fold', () => foldKernel(windows, start, device.dialect, device));
    const values = device.run(fold, [columns]);
    device.release(columns);
    runner.write(output, values);
  };
}

export function preparePool(runner: Runner, call: PoolCall, own: Own): Step {
  const { device } = runner;
  const { windows } = call;
  const size = windowCount(windows) * windows.channels;
  if (size === 0) return () => {};
  const input = firstOf(own(call.input), imageSize(windows));
  const output = firstOf(own(call.output), size);
  const argmaxIndices = call.reduction === 'max' ? firstOf(own(call.argmaxIndices), size) : undefined;
  const kernels = runner.kernels();
  return () => {
    const { arrays, sources, key } = runner.operands([input]);
    const result = (what: 'sum' | 'max' | 'argmaxIndices') =>
      device.run(
        kernels(`${what} ${key}`, () => poolKernel(windows, what, sources[0]!, device.dialect, device)),
        arrays,
      );
    const values = result(call.reduction);
    const places = argmaxIndices && result('argmaxIndices');
    runner.write(output, values);
    if (argmaxIndices && places) runner.write(argmaxIndices, places);
  };
}

export function prepareUnpool(runner: Runner, call: UnpoolCall, own: Own): Step {
  const { device } = runner;
  const { windows } = call;
  const output = firstOf(own(call.output), imageSize(windows));
  if (output.length === 0) return () => {};
  const size = windowCount(windows) * windows.channels;
  if (size === 0) return filled(runner, output, 0);
  const operands = [call.input, ...(call.argmaxIndices ? [call.argmaxIndices] : [])].map((storage) =>
    firstOf(own(storage), size),
  );
  const kernels = runner.kernels();
  return () => {
    const { arrays, sources, key } = runner.operands(operands);
    const kernel = kernels(key, () =>
      unpoolKernel(windows, sources[0]!, sources[1], arrays.length, device.dialect, device),
    );
    runner.write(output, device.run(kernel, arrays));
  };
}
