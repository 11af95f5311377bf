/** Elementwise formulas as plain data, so that one description serves every backend and can be fused. */

/**
 * The scalar functions that every backend implements, with their numbers of operands. Each rounds to float32 once, except exp and log, whose exact
 * sequences of float32 operations are in float32.ts; what tanh, sigmoid, softplus, normalCdf and pow round is in
 * float64.ts. NaN operands give NaN in all but the comparisons and `where`, and in `pow(x, 0)` and `pow(1, y)`.
 * - `maximum(a, b)`, `minimum(a, b)`: the larger, the smaller; 0 is above -0.
 * - `greaterEqual(a, b)`, `greater(a, b)`, `equal(a, b)`: 1 or 0; 0 when either is NaN.
 * - `softplus(a)`: log(1 + e^a); `normalCdf(a)`: the standard normal distribution function.
 * - `where(condition, a, b)`: a where the condition is not 0 (NaN counts as not 0), else b.
 */
export const primitives = {
  neg: 1,
  exp: 1,
  log: 1,
  abs: 1,
  sqrt: 1,
  tanh: 1,
  sigmoid: 1,
  softplus: 1,
  normalCdf: 1,
  add: 2,
  sub: 2,
  mul: 2,
  div: 2,
  pow: 2,
  maximum: 2,
  minimum: 2,
  greater: 2,
  greaterEqual: 2,
  equal: 2,
  where: 3,
} as const satisfies Record<string, 1 | 2 | 3>;

export type Primitive = keyof typeof primitives;

/** A directed acyclic graph of primitives; a node that stands in two places is computed once. */
export type Formula =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'apply'; readonly primitive: Primitive; readonly operands: readonly Formula[] };

/** The value of the call's input number `index` at this element. */
export function input(index: number): Formula {
  return { kind: 'input', index };
}

/** The float32 nearest to `value`. */
export function constant(value: number): Formula {
  return { kind: 'constant', value: Math.fround(value) };
}

/** The primitive of its operands; a number stands for a constant. */
export function apply(primitive: Primitive, ...operands: readonly (Formula | number)[]): Formula {
  const expected = primitives[primitive];
  if (operands.length !== expected) {
    throw new Error(`formula: ${primitive} takes ${expected} operands, got ${operands.length}`);
  }
  const formulas = operands.map((operand) => (typeof operand === 'number' ? constant(operand) : operand));
  return { kind: 'apply', primitive, operands: formulas };
}

/** Rebuilds a formula with every input replaced; shared nodes stay shared. */
export function substituteInputs(formula: Formula, replace: (index: number) => Formula): Formula {
  const done = new Map<Formula, Formula>();
  const visit = (node: Formula): Formula => {
    const known = done.get(node);
    if (known !== undefined) return known;
    const result = rebuild(node);
    done.set(node, result);
    return result;
  };
  const rebuild = (node: Formula): Formula => {
    switch (node.kind) {
      case 'constant':
        return node;
      case 'input':
        return replace(node.index);
      case 'apply':
        return { kind: 'apply', primitive: node.primitive, operands: node.operands.map(visit) };
      default:
        return node satisfies never;
    }
  };
  return visit(formula);
}

/** Every node once, operands before what uses them. */
export function topological(formula: Formula): Formula[] {
  const seen = new Set<Formula>();
  const order: Formula[] = [];
  const visit = (node: Formula): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'apply') node.operands.forEach(visit);
    order.push(node);
  };
  visit(formula);
  return order;
}
