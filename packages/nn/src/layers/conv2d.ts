/**
 * A convolution over images: `x[n, h, w, channels] -> [n, h', w', filters]`. Each filter covers `kernel` x `kernel`
 * pixels over all channels, and has a bias. Like `torch.nn.Conv2d`, it is a cross-correlation.
 */
import { add, conv2d as conv2dOp } from '@lockstep/tensor';
import * as v from 'valibot';
import { wholeNumber } from '../check.ts';
import { sameLayout } from '../torch-layout.ts';
import { imageShape, outputSize, paddingSize, type Window, windowSize } from './image.ts';
import { initialBounds, initializer } from './initializer.ts';
import type { LayerKind } from './layer.ts';

const schema = v.strictObject({
  type: v.literal('conv2d'),
  filters: wholeNumber(1, 65_536),
  /** Height and width of the window. */
  kernel: windowSize,
  /** 1 by default. */
  stride: v.exactOptional(windowSize),
  /** Rows and columns of zeros around the image; 0 by default. */
  padding: v.exactOptional(paddingSize),
  init: initializer,
});

type Config = v.InferOutput<typeof schema>;

export const conv2d = {
  schema,
  outputShape: (config, input) => [...outputSize(imageShape(input), windowOf(config)), config.filters],
  parameters(config, input) {
    const { filters, kernel } = config;
    const channels = imageShape(input)[2];
    const area = kernel * kernel;
    const { weight, bias } = initialBounds(config, area * channels, area * filters);
    const shape = [kernel, kernel, channels, filters];
    const torch = { view: shape, order: [3, 2, 0, 1], shape: [filters, channels, kernel, kernel] };
    return [
      { suffix: 'weight', shape, bound: weight, torch },
      { suffix: 'bias', shape: [filters], bound: bias, torch: sameLayout([filters]) },
    ];
  },
  forward(config, input, [weight, bias]) {
    const { stride, padding } = windowOf(config);
    return add(conv2dOp(input, weight!, { stride, padding }), bias!);
  },
} satisfies LayerKind<Config>;

function windowOf({ kernel, stride = 1, padding = 0 }: Config): Window {
  return { size: kernel, stride, padding };
}
