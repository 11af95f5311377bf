/** Convolution and its gradients, as unfolding or folding and a product. */
import type { ConvolutionCall } from '../../../backend.ts';
import { windowCount } from '../../../windows.ts';
import type { Placed } from '../../operands.ts';
import type { Runner, Stretch } from '../runner.ts';
import { unfoldShader, unpoolShader } from '../shaders/windows.ts';
import { createProduct, withOperand } from './matmul.ts';

export function lowerConvolution(call: Placed<ConvolutionCall, Stretch>, runner: Runner): () => void {
  const { left, right, output, epilogue } = call;
  if ((left.length === 0 || right.length === 0) && epilogue === undefined) return runner.fill(output, 0);
  return call.result === 'inputGradient' ? lowerFolded(call, runner) : lowerUnfolded(call, runner);
}

/** Number of windows, and number of values in each. */
function sizesOf({ windows }: Pick<ConvolutionCall, 'windows'>): { readonly count: number; readonly patch: number } {
  return { count: windowCount(windows), patch: windows.windowHeight * windows.windowWidth * windows.channels };
}

/** Computes `unfolded x kernel`, or `transposed unfolded x gradient`. */
function lowerUnfolded(call: Placed<ConvolutionCall, Stretch>, runner: Runner): () => void {
  const { windows, epilogue, left, right, bias, output } = call;
  const { count, patch } = sizesOf(call);
  const forward = call.result === 'output';
  const [m, k] = forward ? [count, patch] : [patch, count];
  const sizes = { m, k, n: call.filters };
  const product = createProduct(runner, { ...sizes, transposeLeft: !forward, transposeRight: false, epilogue });
  const stretches = bias === undefined ? [left, right] : [left, right, bias];
  const kernels = runner.kernels();
  return () => {
    const operands = runner.operands(stretches);
    const { input, offset } = operands.sources[0]!;
    const unfold = kernels(String(offset), () => unfoldShader(windows, { input: 0, offset }, runner.device));
    const unfolded = runner.device.run(unfold, [operands.arrays[input]!]);
    const values = product(withOperand(operands, 0, unfolded));
    runner.device.release(unfolded);
    runner.write(output, values);
  };
}

/** Computes `gradient x transposed kernel` and folds it back onto the pixels. */
function lowerFolded(call: Placed<ConvolutionCall, Stretch>, runner: Runner): () => void {
  const { windows, filters, left, right, output } = call;
  const { count, patch } = sizesOf(call);
  const sizes = { m: count, k: filters, n: patch };
  const product = createProduct(runner, { ...sizes, transposeLeft: false, transposeRight: true });
  const fold = runner.device.compile(unpoolShader(windows, [{ input: 0, offset: 0 }], 1, runner.device, true));
  return () => runner.write(output, runner.consume(fold, product(runner.operands([left, right]))));
}
