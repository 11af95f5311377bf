/** The forward pass of a model, and its tape: the ops that it calls, for other libraries and formats to repeat. */
import { checkArguments, type TargetField } from '@lockstep/data';
import type * as tensor from '@lockstep/tensor';
import {
  type OpCall,
  type RandomKeys,
  type RecordedOps,
  recordOps,
  type Shape,
  type SumOptions,
  sum,
  Tensor,
} from '@lockstep/tensor';
import { kinds } from './check.ts';
import { layerKind } from './layers.ts';
import { lossOf, trainingLosses } from './losses.ts';
import { embeddingOf, type Model, type PlacedLayer, parameterLayout, placeLayers } from './model.ts';

interface ForwardOptions {
  /** Determines the dropout masks; given only in training. */
  readonly random?: Omit<RandomKeys, 'stream'> | undefined;
  /** Sees the output of each layer, inner layers first, and returns the input of the next; by default the output. */
  readonly pass?: (output: Tensor, layer: PlacedLayer) => Tensor;
  /** Sees the probabilities [n, heads, positions, positions] of each attention layer: row by row what a position sees. */
  readonly attend?: (probabilities: Tensor, layer: PlacedLayer) => void;
  /** Computes a layer in another way, from its input and parameters; undefined for the layer's own forward pass. */
  readonly replace?: (layer: PlacedLayer, input: Tensor, parameters: readonly Tensor[]) => Tensor | undefined;
}

/**
 * Maps `x` [n, ...input] to outputs [n, outputs], which are logits if targets are classes.
 * If targets are the next tokens, outputs are logits [n, positions, tokens].
 * `parameters` holds one tensor per entry of `parameterLayout(model)`.
 */
export function forward(model: Model, x: Tensor, parameters: readonly Tensor[], options: ForwardOptions = {}): Tensor {
  checkArguments(
    'forward',
    [kinds.model, model],
    [kinds.tensor, x],
    [kinds.tensors, parameters],
    [kinds.options, options],
  );
  const { random, pass = (output) => output, attend, replace } = options;
  const byName = new Map(parameterLayout(model).map(({ name }, index) => [name, parameters[index]!]));
  // The embedding is the first layer, so its weight is the first parameter.
  const text = embeddingOf(model) && { tokens: x, embedding: parameters[0]! };
  const run = (layers: readonly PlacedLayer[], input: Tensor): Tensor =>
    layers.reduce((value, placed) => {
      const { layer, stream } = placed;
      const own = placed.parameters.map(({ name }) => byName.get(name)!);
      const nested = (inner: Tensor): Tensor => run(placed.nested, inner);
      const see = (probabilities: Tensor): void => attend?.(probabilities, placed);
      const context = { random: random && { ...random, stream }, nested, text, attend: see };
      return pass(replace?.(placed, value, own) ?? layerKind(layer).forward(layer, value, own, context), placed);
    }, input);
  return run(placeLayers(model), x);
}

/** Returns the shape of the targets as a loss reads them: the next tokens [samples, positions] come from the samples. */
export function targetShape(model: Model, samples: number, { role, shape }: TargetField): Shape {
  return [samples, ...(role === 'next' ? model.input : shape)];
}

/** Returns the sum of the samples' losses, weighted by class if classes have weights, and the number correct. */
export function lossSums(
  outputs: Tensor,
  targets: Tensor,
  field: TargetField,
  options: SumOptions,
): { readonly loss: Tensor; readonly correct: Tensor } {
  const correct = lossOf(field).correct(outputs, targets, options);
  return { correct, loss: sum(trainingLosses(outputs, targets, field), options) };
}

/** A recorded op, with the layer that called it; the loss has no layer. */
interface TapedOp extends OpCall {
  readonly layer: PlacedLayer | undefined;
}

/**
 * The ops of a computation that depend on its inputs, in order.
 * Only the constants among its tensors have values.
 */
export interface Tape extends RecordedOps {
  readonly ops: readonly TapedOp[];
}

function record(
  shapes: readonly Shape[],
  body: (pass: ForwardOptions['pass'], ...inputs: Tensor[]) => readonly Tensor[],
): Tape {
  const ops: TapedOp[] = [];
  let calls: OpCall[] = [];
  const take = (layer: PlacedLayer | undefined): void => {
    ops.push(...calls.map((call) => ({ ...call, layer })));
    calls = [];
  };
  const pass = (output: Tensor, layer: PlacedLayer): Tensor => {
    take(layer);
    return output;
  };
  const recorded = recordOps(
    shapes,
    (...inputs) => body(pass, ...inputs),
    (call) => calls.push(call),
  );
  take(undefined);
  return { ...recorded, ops: ops.filter(({ output }) => !recorded.constants.has(output)) };
}

/**
 * Records a prediction.
 * Inputs are x [samples, ...input] and the parameters; the output is [samples, outputs].
 */
export function recordPrediction(model: Model, samples: number): Tape {
  checkArguments('recordPrediction', [kinds.model, model]);
  const shapes = [[samples, ...model.input], ...parameterLayout(model).map(({ shape }) => shape)];
  return record(shapes, (pass, x, ...parameters) => [forward(model, x!, parameters, { pass: pass! })]);
}

/**
 * Records what training differentiates.
 * Inputs are x [samples, ...input], the targets, the random key [4], the numbers of the samples [samples], and the
 * parameters. Outputs are those of `lossSums`: loss, then correct.
 */
export function recordLoss(model: Model, samples: number, targetField: TargetField): Tape {
  checkArguments('recordLoss', [kinds.model, model], [kinds.field, targetField]);
  const parameterShapes = parameterLayout(model).map(({ shape }) => shape);
  return record(
    [[samples, ...model.input], targetShape(model, samples, targetField), [4], [samples], ...parameterShapes],
    (pass, x, targets, key, numbers, ...parameters) => {
      const random = { key: key!, samples: numbers! };
      const outputs = forward(model, x!, parameters, { random, pass: pass! });
      const { loss, correct } = lossSums(outputs, targets!, targetField, {});
      return [loss, correct];
    },
  );
}

type Ops = typeof tensor;

/** Names of the functions whose first argument is a tensor and that return one. */
type OpName = {
  [Name in keyof Ops]: Ops[Name] extends (...args: never[]) => Tensor ? Name : never;
}[keyof Ops];

type Exchanged<Args, Value> = {
  [Index in keyof Args]: Args[Index] extends readonly Tensor[]
    ? readonly Value[]
    : Extract<Args[Index], Tensor> extends never
      ? Args[Index]
      : Exclude<Args[Index], Tensor> | Value;
};

/**
 * Ops of another library or format, by name, and its constants.
 * Each op takes the arguments of the op of `@lockstep/tensor`, with a `Value` for each tensor.
 */
export type OpTable<Value> = {
  readonly [Name in OpName]?: (...args: Exchanged<Parameters<Ops[Name]>, Value>) => Value;
} & { constant(values: Float32Array, shape: Shape): Value };

/**
 * Throws one sentence unless the table has every op of the tape.
 * @param owner names the table in the error
 */
export function checkOps<Value>(tape: Tape, table: OpTable<Value>, owner: string): void {
  checkArguments('checkOps', [kinds.tape, tape], [kinds.opTable, table]);
  const missing = tape.ops.find(({ name }) => !Object.hasOwn(table, name));
  if (missing === undefined) return;
  const { name, layer } = missing;
  const user = layer === undefined ? '' : ` in layer ${layer.path} (${layer.layer.type})`;
  throw new Error(`${owner}: expected ops that it knows, got ${name}${user}`);
}

/**
 * Repeats the ops of a tape with those of a table.
 * @param inputs one value for each input of the tape; undefined if no op reads it
 * @param before sees each op before it is computed
 * @returns the values of the tape's outputs; undefined for an output that no op computed
 */
export function replay<Value>(
  tape: Tape,
  table: OpTable<Value>,
  inputs: readonly (Value | undefined)[],
  before: (op: TapedOp) => void = () => {},
): (Value | undefined)[] {
  checkArguments('replay', [kinds.tape, tape], [kinds.opTable, table], [kinds.tensors, inputs]);
  const values = new Map(tape.inputs.map((input, index) => [input, inputs[index]]));
  const valueAt = (tensor: Tensor): Value | undefined => {
    const constant = values.has(tensor) ? undefined : tape.constants.get(tensor);
    if (constant) values.set(tensor, table.constant(constant, tensor.shape));
    return values.get(tensor);
  };
  const exchanged = (arg: unknown): unknown => (arg instanceof Tensor ? valueAt(arg) : arg);
  for (const op of tape.ops) {
    before(op);
    // A list is one of tensors, of sizes or of axes.
    const args = op.args.map((arg) => (Array.isArray(arg) ? arg.map(exchanged) : exchanged(arg)));
    const compute = table[op.name as OpName] as (...args: unknown[]) => Value;
    values.set(op.output, compute(...args));
  }
  return tape.outputs.map(valueAt);
}
