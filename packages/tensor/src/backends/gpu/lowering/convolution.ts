/** Convolution and its gradients as unfolding or folding, and a product. */
import type { ConvolutionCall } from '../../../backend.ts';
import { imageSize, windowCount } from '../../../windows.ts';
import { foldShader, unfoldShader } from '../shaders/windows.ts';
import { fill, type LoweringContext, type Step } from './context.ts';
import { createProduct, withOperand } from './matmul.ts';

export function lowerConvolution(call: ConvolutionCall, context: LoweringContext): Step {
  const { windows, filters } = call;
  const patch = windows.windowHeight * windows.windowWidth * windows.channels;
  const sizes = { count: windowCount(windows), patch, filters };
  return call.result === 'inputGradient' ? lowerFolded(call, sizes, context) : lowerUnfolded(call, sizes, context);
}

interface Sizes {
  /** Number of windows, of values under each, and of filters. */
  readonly count: number;
  readonly patch: number;
  readonly filters: number;
}

/** `unfolded x kernel`, or `unfolded, transposed, x gradient`. */
function lowerUnfolded(call: ConvolutionCall, { count, patch, filters }: Sizes, context: LoweringContext): Step {
  const { runner, device, stretchOf } = context;
  const { windows, epilogue } = call;
  const forward = call.result === 'output';
  const [m, k] = forward ? [count, patch] : [patch, count];
  const output = stretchOf(call.output, m * filters);
  if (output.length === 0) return () => {};
  if (count * patch === 0 && epilogue === undefined) return fill(context, output, 0);
  const stretches = [stretchOf(call.left, imageSize(windows)), stretchOf(call.right, k * filters)];
  if (epilogue?.bias) stretches.push(stretchOf(epilogue.bias, filters));
  const product = createProduct(runner, {
    ...{ m, k, n: filters },
    transposeLeft: !forward,
    transposeRight: false,
    epilogue,
  });
  const kernels = runner.kernels();
  return () => {
    const operands = runner.operands(stretches);
    const { input, offset } = operands.sources[0]!;
    const unfold = kernels(String(offset), () => unfoldShader(windows, { input: 0, offset }, device));
    const unfolded = device.run(unfold, [operands.arrays[input]!]);
    const values = product(withOperand(operands, 0, unfolded));
    device.release(unfolded);
    runner.write(output, values);
  };
}

/** `gradient x kernel, transposed`, folded back onto the pixels. */
function lowerFolded(call: ConvolutionCall, { count, patch, filters }: Sizes, context: LoweringContext): Step {
  const { runner, device, stretchOf } = context;
  const output = stretchOf(call.output, imageSize(call.windows));
  if (output.length === 0) return () => {};
  if (count * filters === 0) return fill(context, output, 0);
  const operands = [stretchOf(call.left, count * filters), stretchOf(call.right, patch * filters)];
  const sizes = { m: count, k: filters, n: patch };
  const product = createProduct(runner, { ...sizes, transposeLeft: false, transposeRight: true });
  const fold = device.compile(foldShader(call.windows, { input: 0, offset: 0 }, device));
  return () => runner.write(output, runner.consume(fold, product(runner.operands(operands))));
}
