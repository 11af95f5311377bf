/** Ops that join several tensors. */
import type { OpResult } from '../autograd.ts';
import { commonBackend } from '../evaluate.ts';
import { contiguousStrides, formatShape, normalizeAxes, ShapeError, sameShape, unexpectedShapes } from '../shape.ts';
import { checkTensors, emptyTensor, type Tensor } from '../tensor.ts';
import { reshape } from './arrange.ts';
import { defineOp } from './define.ts';
import { copyInto, type Range, slice } from './slice.ts';

/** Concatenates tensors along an axis: `[2, 3] and [2, 1] along 1 -> [2, 4]`. */
export const concat = defineOp('concat', (tensors: readonly Tensor[], axis: number = 0): OpResult => {
  checkTensors('concat', 'the tensors', tensors);
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('concat: expected at least one tensor, got none');
  const [at] = normalizeAxes('concat', first.shape, [axis]) as [number];
  for (const { shape } of tensors) {
    if (shape.length !== first.shape.length || !sameShape(shape.with(at, 0), first.shape.with(at, 0))) {
      throw new ShapeError(
        `concat: ${formatShape(first.shape)} and ${formatShape(shape)} differ at an axis other than ${axis}`,
      );
    }
  }
  const backend = commonBackend('concat', tensors);
  let end = 0;
  const ranges = tensors.map(({ shape }) => {
    const start = end;
    end += shape[at]!;
    return { start, end };
  });
  const output = emptyTensor(backend, first.shape.with(at, end));
  const strides = contiguousStrides(output.shape);
  tensors.forEach((tensor, position) => {
    const layout = { offset: ranges[position]!.start * strides[at]!, strides };
    copyInto(output, layout, tensor);
  });
  const whole: Range[] = first.shape.map(() => ({}));
  const gradient = ranges.map((range) => (g: Tensor) => slice(g, whole.with(at, range)));
  return { output, operands: tensors, gradient };
});

/** Stacks tensors of one shape along a new axis: three of `[2, 4]` along 1 -> `[2, 3, 4]`. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  checkTensors('stack', 'the tensors', tensors);
  const [first] = tensors;
  if (first === undefined) throw new ShapeError('stack: expected at least one tensor, got none');
  const different = tensors.find(({ shape }) => !sameShape(shape, first.shape));
  if (different !== undefined) {
    throw unexpectedShapes('stack: all tensors need one shape', first.shape, different.shape);
  }
  const [at] = normalizeAxes('stack', [...first.shape, 1], [axis]) as [number];
  const single = first.shape.toSpliced(at, 0, 1);
  const elements = tensors.map((tensor) => reshape(tensor, single));
  return concat(elements, at);
}
