/** Runs single calls on tensors, without recording them in the gradient graph. */
import type { Backend, KernelCall, Microbatches, Reduction, Storage, StridedView } from './backend.ts';
import { constant, type Formula, input } from './formula.ts';
import { broadcastShapes, broadcastStrides, formatShape, type Shape, ShapeError, sameShape, sizeOf } from './shape.ts';
import { checkTensor, emptyTensor, Tensor } from './tensor.ts';

/** An operand of an op: a tensor, or a number that stands for a constant scalar. */
export type Operand = Tensor | number;

export function runCall(backend: Backend, call: KernelCall): void {
  const program = backend.prepare([call]);
  program.run();
  program.dispose();
}

/** Returns a new tensor of `shape`, filled by the call that `callFor` makes for its storage. */
export function computed(backend: Backend, shape: Shape, callFor: (output: Storage) => KernelCall): Tensor {
  const output = emptyTensor(backend, shape);
  runCall(backend, callFor(output.storage));
  return output;
}

/** Returns the one backend that all tensors among the operands share. */
export function commonBackend(operation: string, operands: readonly Operand[]): Backend {
  let backend: Backend | undefined;
  for (const operand of operands) {
    if (typeof operand === 'number') continue;
    checkTensor(operation, 'an operand', operand);
    backend ??= operand.backend;
    if (operand.backend !== backend) {
      throw new Error(
        `${operation}: operands live on two backends, ${backend.name} and ${operand.backend.name}; inside compile, every tensor must come in as an input`,
      );
    }
  }
  if (backend === undefined) throw new Error(`${operation}: at least one operand must be a tensor`);
  return backend;
}

/** Evaluates a formula over operands broadcast to a common shape; numbers become constants of the formula. */
export function mapOperands(
  operation: string,
  formula: (...operands: Formula[]) => Formula,
  operands: readonly Operand[],
): Tensor {
  const backend = commonBackend(operation, operands);
  const tensors = operands.filter((operand) => typeof operand !== 'number');
  const shapes = tensors.map((tensor) => tensor.shape);
  const shape = broadcastShapes(operation, shapes);
  const views = tensors.map(({ storage, shape: own }) => ({ storage, strides: broadcastStrides(own, shape) }));
  let position = 0;
  const read = operands.map((operand) => (typeof operand === 'number' ? constant(operand) : input(position++)));
  return mapViews(backend, formula(...read), shape, views);
}

/** Evaluates `formula` over views that already have the strides of `shape`. */
export function mapViews(backend: Backend, formula: Formula, shape: Shape, inputs: readonly StridedView[]): Tensor {
  return computed(backend, shape, (output) => ({ kind: 'map', formula, shape, inputs, output }));
}

/** Returns a tensor of `shape` that repeats `source`, whose shape must broadcast to it. */
export function broadcastCopy(source: Tensor, shape: Shape): Tensor {
  const view = { storage: source.storage, strides: broadcastStrides(source.shape, shape) };
  return mapViews(source.backend, input(0), shape, [view]);
}

/** Returns a tensor of `shape` that shares the values of `source`. */
export function reshaped(source: Tensor, shape: Shape): Tensor {
  if (sizeOf(shape) !== source.size) {
    throw new ShapeError(
      `reshape: ${formatShape(source.shape)} has ${source.size} values, ${formatShape(shape)} would have ${sizeOf(shape)}`,
    );
  }
  if (source.disposed) throw new Error(`reshape: this ${formatShape(source.shape)} tensor was already disposed of`);
  return new Tensor(source.memory, shape);
}

/**
 * Reduces over ascending `axes`, which the result drops; `microbatches` splits a sum over the first axis.
 * Adjacent axes are reduced in one call, the last ones first.
 */
export function reduceOverAxes(
  reduction: Exclude<Reduction, 'argmax'>,
  source: Tensor,
  axes: readonly number[],
  microbatches?: Microbatches,
): Tensor {
  const lengths = [...source.shape];
  let current = source;
  for (let last = axes.length - 1; last >= 0; ) {
    let first = last;
    while (first > 0 && axes[first - 1] === axes[first]! - 1) first--;
    const [from, to] = [axes[first]!, axes[last]! + 1];
    current = reduceMiddle(reduction, current, lengths, from, to, from === 0 ? microbatches : undefined);
    lengths.splice(from, to - from);
    last = first - 1;
  }
  return current;
}

/** Reduces, in one call, the axes from `from` to before `to` of `source` viewed as `shape`. */
export function reduceMiddle(
  reduction: Reduction,
  source: Tensor,
  shape: Shape,
  from: number,
  to: number,
  microbatches?: Microbatches,
): Tensor {
  const kept = [...shape.slice(0, from), ...shape.slice(to)];
  return computed(source.backend, kept, (output) => ({
    kind: 'reduce',
    reduction,
    outer: sizeOf(shape.slice(0, from)),
    length: sizeOf(shape.slice(from, to)),
    inner: sizeOf(shape.slice(to)),
    input: source.storage,
    output,
    ...(microbatches === undefined ? {} : { microbatches }),
  }));
}

/** Undoes broadcasting: sums over the axes along which `shape` was repeated, per microbatch over the first axis. */
export function sumToShape(source: Tensor, shape: Shape, microbatches?: Microbatches): Tensor {
  if (sameShape(source.shape, shape)) return source;
  const missing = source.shape.length - shape.length;
  const isRepeated = (axis: number): boolean =>
    axis < missing || (shape[axis - missing] === 1 && source.shape[axis] !== 1);
  const axes = [...source.shape.keys()].filter(isRepeated);
  return reshaped(reduceOverAxes('sum', source, axes, microbatches), shape);
}
