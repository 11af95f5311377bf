/** Reverse-mode differentiation: records what operations did, and walks the record back. */
import { changedSince, now } from './changes.ts';
import { mapOperands, mapViews, type Operand, reshaped, sumToShape } from './evaluate.ts';
import { apply, constant, input } from './formula.ts';
import { leaveScopes, withScope } from './memory.ts';
import { formatShape, type Shape, sameShape } from './shape.ts';
import type { GraphNode, Tensor } from './tensor.ts';

/** What a gradient rule may use of the forward computation. */
export interface GradientContext<Attributes> {
  readonly operands: readonly Operand[];
  readonly output: Tensor;
  /** What the forward computation laid aside for its gradient. */
  readonly saved: readonly Tensor[];
  readonly attributes: Attributes;
}

/**
 * The gradient of one operand, made of operations, from that of the output. Its shape may still be the broadcast one:
 * summing it back to the operand's shape is done here, once for all rules.
 */
export type GradientRule<Attributes> = (gradient: Tensor, context: GradientContext<Attributes>) => Tensor;

export interface GradientRules<Attributes> {
  /** One per operand. */
  readonly ofOperand: readonly GradientRule<Attributes>[];
  /** Whether they sum over samples in the operand's `microbatches` themselves. */
  readonly sumsMicrobatches: boolean;
}

let recording = true;
let nextOrder = 0;

/** Runs `body` without recording: its results do not require gradients. `body` must not be asynchronous. */
export function noGrad<Result>(body: () => Result): Result {
  const before = recording;
  recording = false;
  try {
    return body();
  } finally {
    recording = before;
  }
}

class RecordedNode<Attributes> implements GraphNode {
  /** Grows with every operation, so that descending order visits users before what they used. */
  readonly order = nextOrder++;
  readonly #recordedAt = now();
  readonly operation: string;
  readonly rules: GradientRules<Attributes>;
  #context: GradientContext<Attributes> | undefined;

  constructor(operation: string, rules: GradientRules<Attributes>, context: GradientContext<Attributes>) {
    this.operation = operation;
    this.rules = rules;
    this.#context = context;
  }

  get context(): GradientContext<Attributes> {
    if (this.#context === undefined) {
      throw new Error(
        `backward: the graph of this ${this.operation} was already used and freed by an earlier backward(); compute the forward pass again`,
      );
    }
    return this.#context;
  }

  free(): void {
    this.#context = undefined;
  }

  /** The shares of the operands that require a gradient, in their order. */
  shares(gradient: Tensor): (Tensor | undefined)[] {
    const { context } = this;
    const { operands, output, saved } = context;
    const changed = [...operands, output, ...saved].filter(
      (tensor): tensor is Tensor =>
        tensor !== gradient &&
        typeof tensor !== 'number' &&
        !tensor.disposed &&
        changedSince(tensor.storage, this.#recordedAt),
    );
    for (const tensor of changed) {
      tensor.stale = `backward: the gradient of ${this.operation} needs values of a ${formatShape(tensor.shape)} tensor that were changed in place after it was computed; run backward() before the change`;
    }
    try {
      return operands.map((operand, position) =>
        typeof operand !== 'number' && operand.requiresGrad
          ? this.#share(gradient, context, operand, position)
          : undefined,
      );
    } finally {
      for (const tensor of changed) tensor.stale = undefined;
    }
  }

  #share(gradient: Tensor, context: GradientContext<Attributes>, operand: Tensor, position: number): Tensor {
    const share = this.rules.ofOperand[position]!(gradient, context);
    const { shape, microbatches } = operand;
    if (microbatches !== undefined && !this.rules.sumsMicrobatches && sameShape(share.shape, shape)) {
      throw new Error(
        `valueAndGrad: ${this.operation} cannot sum the gradient of a ${formatShape(shape)} parameter per microbatch`,
      );
    }
    return sumToShape(share, shape, microbatches);
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

/** Marks `output` as computed by an operation, when any of its operands needs a gradient. */
export function record<Attributes>(
  operation: string,
  rules: GradientRules<Attributes>,
  context: GradientContext<Attributes>,
): void {
  if (!recording || !context.operands.some((operand) => typeof operand !== 'number' && operand.requiresGrad)) return;
  context.output.requiresGrad = true;
  context.output.node = new RecordedNode(operation, rules, context);
}

function sumOf(left: Tensor, right: Tensor): Tensor {
  return mapOperands('backward', apply('add', input(0), input(1)), [left, right]);
}

function full(like: Tensor, shape: Shape, value: number): Tensor {
  return mapViews(like.backend, constant(value), shape, []);
}

/** The whole gradient of every leaf below `output`, each a handle of its own. Frees the graph on the way. */
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

function walkBack(output: Tensor): Map<Tensor, Tensor> {
  const gradients = new Map<Tensor, Tensor>([[output, full(output, output.shape, 1)]]);
  const pending = new Map<number, Tensor>();
  const leaves = new Set<Tensor>();
  const discover = (tensor: Tensor): void => {
    if (tensor.node instanceof RecordedNode) pending.set(tensor.node.order, tensor);
    else leaves.add(tensor);
  };
  discover(output);
  for (const tensor of inDescendingOrder(pending)) {
    const node = tensor.node as RecordedNode<unknown>;
    const { operands } = node.context;
    const shares = node.shares(gradients.get(tensor)!);
    operands.forEach((operand, position) => {
      const share = shares[position];
      if (typeof operand === 'number' || share === undefined) return;
      const sofar = gradients.get(operand);
      if (sofar !== undefined && operand.microbatches !== undefined) {
        throw new Error(
          `valueAndGrad: a ${formatShape(operand.shape)} parameter is used twice, and its gradient cannot be summed per microbatch`,
        );
      }
      gradients.set(operand, sofar === undefined ? share : sumOf(sofar, share));
      discover(operand);
    });
    node.free();
  }
  return new Map([...leaves].map((leaf) => [leaf, reshaped(gradients.get(leaf)!, leaf.shape)]));
}

/** Removes and yields the entry with the largest key until none is left; entries may be added meanwhile. */
function* inDescendingOrder(pending: Map<number, Tensor>): Generator<Tensor> {
  while (pending.size > 0) {
    const largest = Math.max(...pending.keys());
    const tensor = pending.get(largest)!;
    pending.delete(largest);
    yield tensor;
  }
}

export interface ValueAndGradient {
  /** What the function returned, no longer part of a graph. */
  readonly value: Tensor;
  /** One per parameter, in its shape; zeros where the function does not depend on it. */
  readonly gradients: readonly Tensor[];
}

export interface GradientOptions {
  /**
   * Number of equal runs of samples, along the first axis of what the parameters are combined with. The gradients are
   * then summed over each run alone, and the runs' sums added in pairs (`Microbatches` in backend.ts), to the bit as if each
   * run had been differentiated by itself. Needs a backend with `microbatchSums`, and parameters that meet the samples as
   * the right operand of `matmul`, the kernel of `conv2d`, or broadcast. One where left out.
   */
  readonly microbatches?: number;
}

/**
 * The value of a function of `parameters` and its gradient with respect to each. The parameters' own `requiresGrad`
 * and `grad` are neither read nor changed.
 * @throws when the function's value is not a tensor with exactly one value.
 */
export function valueAndGrad(
  loss: (...parameters: Tensor[]) => Tensor,
  parameters: readonly Tensor[],
  { microbatches }: GradientOptions = {},
): ValueAndGradient {
  const leaves = parameters.map((parameter) => aliasOf(parameter, true));
  for (const leaf of leaves) leaf.microbatches = microbatches;
  const result = loss(...leaves);
  const value = leaves.includes(result) ? aliasOf(result, false) : result;
  const gradients = gradientsOf(result);
  value.node = undefined;
  value.requiresGrad = false;
  const inOrder = leaves.map((leaf) => gradients.get(leaf) ?? full(leaf, leaf.shape, 0));
  for (const [leaf, gradient] of gradients) if (!leaves.includes(leaf)) gradient.dispose();
  for (const leaf of leaves) leaf.dispose();
  return { value, gradients: inOrder };
}

function aliasOf(tensor: Tensor, requiresGrad: boolean): Tensor {
  const alias = reshaped(tensor, tensor.shape);
  alias.requiresGrad = requiresGrad;
  return alias;
}
