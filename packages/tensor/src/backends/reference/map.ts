/** Elementwise formulas, evaluated element by element. */
import type { HostBackend, MapCall } from '../../backend.ts';
import { exp32, log32 } from '../../float32.ts';
import { normalCdf32, pow32, sigmoid32, softplus32, tanh32 } from '../../float64.ts';
import { type Formula, type Primitive, topological } from '../../formula.ts';
import { contiguousStrides, sizeOf } from '../../shape.ts';

const { fround } = Math;

const scalarFunctions: Record<Primitive, (a: number, b: number, c: number) => number> = {
  neg: (a) => -a,
  exp: exp32,
  log: log32,
  abs: (a) => Math.abs(a),
  sqrt: (a) => fround(Math.sqrt(a)),
  tanh: tanh32,
  sigmoid: sigmoid32,
  softplus: softplus32,
  normalCdf: normalCdf32,
  add: (a, b) => fround(a + b),
  sub: (a, b) => fround(a - b),
  mul: (a, b) => fround(a * b),
  div: (a, b) => fround(a / b),
  pow: pow32,
  maximum: (a, b) => Math.max(a, b),
  minimum: (a, b) => Math.min(a, b),
  greater: (a, b) => (a > b ? 1 : 0),
  greaterEqual: (a, b) => (a >= b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
  where: (a, b, c) => (a !== 0 ? b : c),
};

/** A function that evaluates a formula, each shared node once, from what `inputs` holds when it is called. */
function evaluator(formula: Formula, inputs: readonly number[]): () => number {
  const nodes = topological(formula);
  const position = new Map(nodes.map((node, index) => [node, index]));
  const results = new Array<number>(nodes.length).fill(0);
  const steps = nodes.map((node): (() => number) => {
    switch (node.kind) {
      case 'constant':
        return () => node.value;
      case 'input':
        return () => inputs[node.index]!;
      case 'apply': {
        const [a = 0, b = 0, c = 0] = node.operands.map((operand) => position.get(operand)!);
        const scalar = scalarFunctions[node.primitive];
        return () => scalar(results[a]!, results[b]!, results[c]!);
      }
      default:
        return node satisfies never;
    }
  });
  return () => {
    for (let index = 0; index < steps.length; index++) results[index] = steps[index]!();
    return results[results.length - 1]!;
  };
}

export function prepareMap(call: MapCall, valuesOf: HostBackend['view']): () => void {
  const arrays = call.inputs.map(({ storage }) => valuesOf(storage));
  const current = arrays.map(() => 0);
  const evaluate = evaluator(call.formula, current);
  const output = valuesOf(call.output);
  const size = sizeOf(call.shape);
  // The output's place moves as those of the inputs do: it is the last view.
  const views = [...call.inputs, call.outputLayout ?? { strides: contiguousStrides(call.shape) }];
  const last = arrays.length;
  return () => {
    const index = call.shape.map(() => 0);
    const offsets = views.map(({ offset = 0 }) => offset);
    for (let element = 0; element < size; element++) {
      for (let which = 0; which < last; which++) current[which] = arrays[which]![offsets[which]!]!;
      output[offsets[last]!] = evaluate();
      for (let axis = call.shape.length - 1; axis >= 0; axis--) {
        const wraps = ++index[axis]! === call.shape[axis];
        const steps = wraps ? 1 - call.shape[axis]! : 1;
        for (let which = 0; which < views.length; which++) offsets[which]! += steps * views[which]!.strides[axis]!;
        if (!wraps) break;
        index[axis] = 0;
      }
    }
  };
}
