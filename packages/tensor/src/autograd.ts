/** Ops run calls on tensors and record their gradients; reverse-mode differentiation walks the record backward. */
import { callback, checkArgument, checkOptions, wholeNumber } from './arguments.ts';
import type { Backend, KernelCall, MicrobatchSums, Reduction, Storage, StridedView } from './backend.ts';
import { apply, constant, type Formula, input, type Primitive } from './formula.ts';
import { broadcastShapes, broadcastStrides, formatShape, type Shape, ShapeError, sameShape, sizeOf } from './shape.ts';
import {
  changedSince,
  checkTensor,
  checkTensors,
  emptyTensor,
  leaveScopes,
  now,
  type TapeNode,
  Tensor,
  withScope,
} from './tensor.ts';

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

/** Returns a tensor of the shape of `like` in which every value is `value`. */
function filled({ backend, shape }: Tensor, value: number): Tensor {
  return mapViews(backend, constant(value), shape, []);
}

/** Returns a tensor of `shape` that shares the values of `source`. */
export function reshaped(source: Tensor, shape: Shape): Tensor {
  if (sizeOf(shape) !== source.size) {
    throw new ShapeError(
      `reshape: ${formatShape(source.shape)} has ${source.size} values, ${formatShape(shape)} would have ${sizeOf(shape)}`,
    );
  }
  if (source.disposed) throw new Error(`reshape: this ${formatShape(source.shape)} tensor was already disposed`);
  return new Tensor(source.memory, shape);
}

/** Returns the shape of a sum of `shape` over samples. */
export function summedShape(shape: Shape, { microbatches, stacked }: MicrobatchSums = {}): Shape {
  return stacked ? [microbatches!, ...shape] : shape;
}

/**
 * Reduces over ascending `axes`, which the result drops; `sums` is how a sum over the first axis is split.
 * Adjacent axes are reduced in one call, the last ones first.
 */
export function reduceOverAxes(
  reduction: Exclude<Reduction, 'argmax'>,
  source: Tensor,
  axes: readonly number[],
  sums?: MicrobatchSums,
): Tensor {
  const lengths = [...source.shape];
  let current = source;
  for (let last = axes.length - 1; last >= 0; ) {
    let first = last;
    while (first > 0 && axes[first - 1] === axes[first]! - 1) first--;
    const [from, to] = [axes[first]!, axes[last]! + 1];
    current = reduceMiddle(reduction, current, lengths, from, to, from === 0 ? sums : undefined);
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
  sums?: MicrobatchSums,
): Tensor {
  const kept = [...shape.slice(0, from), ...shape.slice(to)];
  return computed(source.backend, summedShape(kept, sums), (output) => ({
    kind: 'reduce',
    reduction,
    outer: sizeOf(shape.slice(0, from)),
    length: sizeOf(shape.slice(from, to)),
    inner: sizeOf(shape.slice(to)),
    input: source.storage,
    output,
    ...sums,
  }));
}

/** Undoes broadcasting: sums over the axes along which `shape` was repeated, per microbatch over the first axis. */
function sumToShape(source: Tensor, shape: Shape, sums?: MicrobatchSums): Tensor {
  const missing = source.shape.length - shape.length;
  const isRepeated = (axis: number): boolean =>
    axis < missing || (shape[axis - missing] === 1 && source.shape[axis] !== 1);
  const axes = [...source.shape.keys()].filter(isRepeated);
  return reshaped(reduceOverAxes('sum', source, axes, sums), summedShape(shape, sums));
}

/**
 * Computes the gradient of one operand, using ops, from the gradient of the output.
 * The result may have the broadcast shape: autograd sums it to the operand's shape.
 */
type GradientRule = (gradient: Tensor) => Tensor;

/** The output of an op, and the rules that propagate gradients back through it. */
export interface OpResult {
  readonly output: Tensor;
  readonly operands: readonly Operand[];
  /** One rule per operand; omitted if the op has no useful derivative. */
  readonly gradient?: readonly GradientRule[];
  /** Whether the rules themselves sum per microbatch. If not, only the sum that undoes broadcasting does. */
  readonly microbatchSums?: boolean;
}

let recording = true;
let nextOrder = 0;

/** Runs `body`, which must be synchronous, without recording: its results do not require gradients. */
export function noGrad<Result>(body: () => Result): Result {
  checkArgument('noGrad', 'the body', body, callback);
  const before = recording;
  recording = false;
  try {
    return body();
  } finally {
    recording = before;
  }
}

class RecordedNode implements TapeNode {
  /** Increases with every op, so that descending order visits an op before its operands. */
  readonly order = nextOrder++;
  readonly #recordedAt = now();
  readonly #opName: string;
  #result: OpResult | undefined;

  constructor(opName: string, result: OpResult) {
    this.#opName = opName;
    this.#result = result;
  }

  free(): void {
    this.#result = undefined;
  }

  /** Returns each operand that requires a gradient, with its gradient in the operand's shape. */
  operandGradients(gradient: Tensor): [operand: Tensor, gradient: Tensor][] {
    if (this.#result === undefined) {
      throw new Error(
        `backward: the graph of this ${this.#opName} was already used and freed by an earlier backward(); compute the forward pass again`,
      );
    }
    const { operands, output } = this.#result;
    const tensors = [...operands, output].filter((operand) => typeof operand !== 'number');
    const living = tensors.filter((tensor) => tensor !== gradient && !tensor.disposed);
    const changed = living.filter(({ storage }) => changedSince(storage, this.#recordedAt));
    for (const tensor of changed) {
      tensor.stale = `backward: the gradient of ${this.#opName} needs values of a ${formatShape(tensor.shape)} tensor that were changed in place after it was computed; run backward() before the change`;
    }
    try {
      return operands.flatMap((operand, position) =>
        typeof operand !== 'number' && operand.requiresGrad
          ? [[operand, this.#operandGradient(gradient, operand, position)]]
          : [],
      );
    } finally {
      for (const tensor of changed) tensor.stale = undefined;
    }
  }

  #operandGradient(gradient: Tensor, { shape, perMicrobatch }: Tensor, position: number): Tensor {
    const result = this.#result!;
    const broadcast = result.gradient![position]!(gradient);
    const isSummed = sameShape(broadcast.shape, summedShape(shape, perMicrobatch));
    if (isSummed && (perMicrobatch === undefined || result.microbatchSums)) return broadcast;
    const isAlong = broadcast.shape.length === shape.length && shape[0] !== 1;
    if (perMicrobatch !== undefined && (isAlong || sameShape(broadcast.shape, shape))) {
      throw new Error(
        `valueAndGrad: ${this.#opName} cannot sum the gradient of a ${formatShape(shape)} parameter per microbatch`,
      );
    }
    return sumToShape(broadcast, shape, perMicrobatch);
  }

  /** Operands that require a gradient, one for each use. */
  *usedOperands(): Iterable<Tensor> {
    for (const operand of this.#result?.operands ?? []) {
      if (typeof operand !== 'number' && operand.requiresGrad) yield operand;
    }
  }

  backward(output: Tensor): void {
    for (const [leaf, gradient] of gradientsOf(output)) {
      const total = leaf.grad === undefined ? gradient : sumOf(leaf.grad, gradient);
      if (total !== gradient) gradient.dispose();
      leaf.grad?.dispose();
      leaf.grad = total;
      leaveScopes(total);
    }
  }
}

/** Returns the output, linked into the graph if any operand needs a gradient. */
export function record(opName: string, result: OpResult): Tensor {
  const { operands, output, gradient } = result;
  const needed = operands.some((operand) => typeof operand !== 'number' && operand.requiresGrad);
  if (recording && needed && gradient !== undefined) {
    output.requiresGrad = true;
    output.node = new RecordedNode(opName, result);
  }
  return output;
}

function sumOf(left: Tensor, right: Tensor): Tensor {
  return mapOperands('backward', (x, y) => apply('add', x, y), [left, right]);
}

/** Returns the gradient of every leaf that `output` depends on, each as a separate tensor; frees the graph. */
function gradientsOf(output: Tensor): Map<Tensor, Tensor> {
  if (output.size !== 1) {
    throw new Error(
      `backward: only a tensor with one value has a gradient, got ${formatShape(output.shape)}; reduce it first, for example with sum()`,
    );
  }
  return withScope(
    () => noGrad(() => walkBack(output)),
    (gradients) => gradients.values(),
  );
}

/**
 * Makes the parameters that are used more than once keep the gradients of their microbatches apart. The gradients of
 * the uses are added first and the microbatches then, as if each microbatch was differentiated separately.
 */
function stackReused(output: Tensor): void {
  const seen = new Set([output]);
  // Grows while it is walked.
  for (const { node } of seen) {
    if (!(node instanceof RecordedNode)) continue;
    for (const operand of node.usedOperands()) {
      const { microbatches = 1 } = operand.perMicrobatch ?? {};
      if (seen.has(operand) && microbatches > 1) operand.perMicrobatch = { microbatches, stacked: true };
      seen.add(operand);
    }
  }
}

/** Adds the stacked gradients of microbatches. */
function unstacked(gradient: Tensor, { shape, perMicrobatch }: Tensor): Tensor {
  const { microbatches, stacked } = perMicrobatch ?? {};
  return reshaped(stacked ? reduceOverAxes('sum', gradient, [0], { microbatches: microbatches! }) : gradient, shape);
}

function walkBack(output: Tensor): Map<Tensor, Tensor> {
  stackReused(output);
  const gradients = new Map<Tensor, Tensor>([[output, filled(output, 1)]]);
  const pending = new Map<number, Tensor>();
  const leaves = new Set<Tensor>();
  const discover = (tensor: Tensor): void => {
    if (tensor.node instanceof RecordedNode) pending.set(tensor.node.order, tensor);
    else leaves.add(tensor);
  };
  discover(output);
  while (pending.size > 0) {
    const latest = Math.max(...pending.keys());
    const tensor = pending.get(latest)!;
    pending.delete(latest);
    const node = tensor.node as RecordedNode;
    for (const [operand, gradient] of node.operandGradients(gradients.get(tensor)!)) {
      const sofar = gradients.get(operand);
      gradients.set(operand, sofar === undefined ? gradient : sumOf(sofar, gradient));
      discover(operand);
    }
    node.free();
  }
  return new Map([...leaves].map((leaf) => [leaf, unstacked(gradients.get(leaf)!, leaf)]));
}

interface GradientOptions {
  /**
   * Number of equal runs of samples, 1 by default. Samples are the first axis of the tensors that the parameters are
   * combined with. Gradients are summed over each run, and these sums are added in pairs (`Microbatches` in
   * backend.ts), which gives the bits of differentiating each run separately. Needs a backend with `microbatchSums`,
   * and parameters that are the right operand of `matmul`, the kernel of `conv2d`, indexed along the first axis by
   * `indexSelect`, or broadcast.
   */
  readonly microbatches?: number;
}

/**
 * Returns the value of a function of `parameters`, and its gradient with respect to each parameter.
 * The value is detached from the graph. A gradient has its parameter's shape; it is zeros if the function does not
 * depend on the parameter. The parameters' own `requiresGrad` and `grad` are neither read nor changed.
 * @throws if the function does not return a tensor with exactly one value.
 */
export function valueAndGrad(
  loss: (...parameters: Tensor[]) => Tensor,
  parameters: readonly Tensor[],
  options: GradientOptions = {},
): { value: Tensor; gradients: Tensor[] } {
  checkArgument('valueAndGrad', 'the function', loss, callback);
  checkTensors('valueAndGrad', 'the parameters', parameters);
  checkOptions('valueAndGrad', options, { microbatches: wholeNumber(1) });
  const { microbatches } = options;
  const leaves = parameters.map((parameter) => aliasOf(parameter, true));
  for (const leaf of leaves) leaf.perMicrobatch = microbatches === undefined ? undefined : { microbatches };
  const result = loss(...leaves);
  checkTensor('valueAndGrad', 'what the function returns', result);
  const value = leaves.includes(result) ? aliasOf(result, false) : result;
  const gradients = gradientsOf(result);
  value.node = undefined;
  value.requiresGrad = false;
  const inOrder = leaves.map((leaf) => gradients.get(leaf) ?? filled(leaf, 0));
  for (const [leaf, gradient] of gradients) if (!leaves.includes(leaf)) gradient.dispose();
  for (const leaf of leaves) leaf.dispose();
  return { value, gradients: inOrder };
}

function aliasOf(tensor: Tensor, requiresGrad: boolean): Tensor {
  const alias = reshaped(tensor, tensor.shape);
  alias.requiresGrad = requiresGrad;
  return alias;
}

export interface Op<Parameters extends unknown[]> {
  (...parameters: Parameters): Tensor;
  readonly opName: string;
}

/** A call of an op, with its arguments as they were given. */
export interface OpCall {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly output: Tensor;
}

let seen: ((call: OpCall) => void) | undefined;

/** Passes `see` each op that `body` calls, but not the ops that an op itself calls. */
export function watchOps<Result>(see: ((call: OpCall) => void) | undefined, body: () => Result): Result {
  const before = seen;
  seen = see;
  try {
    return body();
  } finally {
    seen = before;
  }
}

/** Makes a function of ops count as one op for `watchOps`. */
export function named<Parameters extends unknown[]>(name: string, compute: (...parameters: Parameters) => Tensor) {
  return (...args: Parameters): Tensor => {
    if (seen === undefined) return compute(...args);
    const see = seen;
    const output = watchOps(undefined, () => compute(...args));
    see({ name, args, output });
    return output;
  };
}

/** Defines any op. `compute` checks shapes, computes the output and returns the gradient rules. */
export function defineOp<Parameters extends unknown[]>(
  opName: string,
  compute: (...parameters: Parameters) => OpResult,
): Op<Parameters> {
  const op = named(opName, (...parameters: Parameters) => record(opName, compute(...parameters)));
  return Object.assign(op, { opName });
}

/** An op's name and formula; by default, the formula is the primitive with the op's name. */
type Named =
  | { readonly name: Primitive; readonly formula?: undefined }
  | { readonly name: string; readonly formula: (x: Formula, y: Formula) => Formula };

function mapNamed({ name, formula }: Named, operands: readonly Operand[]): Tensor {
  return mapOperands(name, formula ?? ((...inputs) => apply(name, ...inputs)), operands);
}

type UnaryDefinition = Named & {
  /** Computes the gradient of `x` from the gradient of the output `y`. */
  readonly gradient: (gradient: Tensor, x: Tensor, y: Tensor) => Tensor;
};

/** Defines an op that applies one formula to each element of a tensor. */
export function unary(definition: UnaryDefinition): Op<[x: Tensor]> {
  return defineOp(definition.name, (x: Tensor): OpResult => {
    const output = mapNamed(definition, [x]);
    return { output, operands: [x], gradient: [(g) => definition.gradient(g, x, output)] };
  });
}

type BinaryGradient = (gradient: Tensor, x: Operand, y: Operand, output: Tensor) => Tensor;

type BinaryDefinition = Named & {
  /** Computes the gradients of x and y from the gradient of the output; omitted if there is no useful derivative. */
  readonly gradient?: readonly [BinaryGradient, BinaryGradient];
};

/** Defines an op that applies one formula to two operands, broadcast to a common shape; numbers are constants. */
export function binary(definition: BinaryDefinition): Op<[x: Operand, y: Operand]> {
  return defineOp(definition.name, (x: Operand, y: Operand): OpResult => {
    const operands = [x, y];
    const output = mapNamed(definition, operands);
    if (definition.gradient === undefined) return { output, operands };
    return { output, operands, gradient: definition.gradient.map((rule) => (g: Tensor) => rule(g, x, y, output)) };
  });
}
