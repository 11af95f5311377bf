/** Pooling: each window of an image becomes its largest value, or its mean, channel by channel. */
import { averagePool2d as averagePool2dOp, maxPool2d as maxPool2dOp } from '@lockstep/tensor';
import * as v from 'valibot';
import { imageShape, outputSize, paddingSize, strideSize, type Window, windowSize } from './image.ts';
import type { LayerKind } from './layer.ts';

const settings = {
  /** Height and width. */
  window: windowSize,
  /** The window's size where left out: windows side by side. */
  stride: v.exactOptional(strideSize),
  /** 0 where left out; at most half the window. */
  padding: v.exactOptional(paddingSize),
};

interface PoolConfig {
  readonly window: number;
  readonly stride?: number;
  readonly padding?: number;
}

const pooling = {
  outputShape(config, input) {
    const [height, width, channels] = imageShape(input);
    const window = windowOf(config);
    if (window.padding > window.size / 2) {
      throw new Error(`expected a padding of at most half the window of ${window.size}, got ${window.padding}`);
    }
    return [...outputSize([height, width], window), channels];
  },
  parameters: () => [],
} satisfies Pick<LayerKind<PoolConfig>, 'outputShape' | 'parameters'>;

const maxSchema = v.strictObject({ type: v.literal('maxPool2d'), ...settings });

/** As `torch.nn.MaxPool2d`. */
export const maxPool2d = {
  schema: maxSchema,
  ...pooling,
  forward(config, input) {
    const { size, stride, padding } = windowOf(config);
    return maxPool2dOp(input, size, { stride, padding });
  },
} satisfies LayerKind<v.InferOutput<typeof maxSchema>>;

const averageSchema = v.strictObject({ type: v.literal('averagePool2d'), ...settings });

/** As `torch.nn.AvgPool2d`: padding counts as zeros. */
export const averagePool2d = {
  schema: averageSchema,
  ...pooling,
  forward(config, input) {
    const { size, stride, padding } = windowOf(config);
    return averagePool2dOp(input, size, { stride, padding });
  },
} satisfies LayerKind<v.InferOutput<typeof averageSchema>>;

function windowOf({ window, stride = window, padding = 0 }: PoolConfig): Window {
  return { size: window, stride, padding };
}
