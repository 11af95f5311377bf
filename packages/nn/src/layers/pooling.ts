/** Pooling: reduces each window of an image to its largest value or its mean, channel by channel. */
import { averagePool2d as averagePool2dOp, maxPool2d as maxPool2dOp } from '@lockstep/tensor';
import * as v from 'valibot';
import { imageShape, outputSize, paddingSize, windowSize } from './image.ts';
import type { LayerKind } from './layer.ts';

function pooling<const Type extends string>(type: Type, pool: typeof maxPool2dOp | typeof averagePool2dOp) {
  const schema = v.strictObject({
    type: v.literal(type),
    /** Height and width. */
    window: windowSize,
    /** By default the window's size, so that windows do not overlap. */
    stride: v.exactOptional(windowSize),
    /** 0 by default; at most half the window. */
    padding: v.exactOptional(paddingSize),
  });
  return {
    schema,
    outputShape({ window, stride = window, padding = 0 }, input) {
      const [height, width, channels] = imageShape(input);
      if (padding > window / 2) {
        throw new Error(`expected a padding of at most half the window of ${window}, got ${padding}`);
      }
      return [...outputSize([height, width], { size: window, stride, padding }), channels];
    },
    forward: ({ window, stride = window, padding = 0 }, input) => pool(input, window, { stride, padding }),
  } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** Same as `torch.nn.MaxPool2d`. */
export const maxPool2d = pooling('maxPool2d', maxPool2dOp);

/** Same as `torch.nn.AvgPool2d`: padding counts as zeros. */
export const averagePool2d = pooling('averagePool2d', averagePool2dOp);
