/** Elementwise formulas, evaluated element by element. */
import type { MapCall } from '../../backend.ts';
import { exp32, log32 } from '../../float32.ts';
import { normalCdf32, pow32, sigmoid32, softplus32, tanh32 } from '../../float64.ts';
import { type Formula, type Primitive, topological } from '../../formula.ts';
import { sizeOf } from '../../shape.ts';
import type { Placed } from '../operands.ts';

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

/** Returns a function that evaluates a formula, each shared node once, on the current values of `inputs`. */
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

export function map({ formula, shape, inputs, output, strides }: Placed<MapCall, Float32Array>): void {
  const current = inputs.map(() => 0);
  const evaluate = evaluator(formula, current);
  const size = sizeOf(shape);
  const index = shape.map(() => 0);
  // The output's position moves like those of the inputs: it is the last one.
  const places = strides.map(() => 0);
  for (let element = 0; element < size; element++) {
    for (let which = 0; which < inputs.length; which++) current[which] = inputs[which]![places[which]!]!;
    output[places[inputs.length]!] = evaluate();
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const wraps = ++index[axis]! === shape[axis];
      const steps = wraps ? 1 - shape[axis]! : 1;
      for (let which = 0; which < places.length; which++) places[which]! += steps * strides[which]![axis]!;
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}
