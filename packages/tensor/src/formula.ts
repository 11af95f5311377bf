/** Elementwise formulas as plain data, which every backend evaluates and `compile` fuses. */
import { callback, checkArgument, isObject, type Kind, number, oneOf, wholeNumber } from './arguments.ts';
import { type Primitive, primitives } from './primitives.ts';

/** A directed acyclic graph of primitives; a node that is used twice is computed once. */
export type Formula =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'apply'; readonly primitive: Primitive; readonly operands: readonly Formula[] };

const inputIndex = wholeNumber(0);

/** Makes a formula that reads the call's input number `index` at the current element. */
export function input(index: number): Formula {
  checkArgument('input', 'the index', index, inputIndex);
  return { kind: 'input', index };
}

/** Makes a formula with a constant value, the float32 nearest to `value`. */
export function constant(value: number): Formula {
  checkArgument('constant', 'the value', value, number);
  return { kind: 'constant', value: Math.fround(value) };
}

const primitiveName = oneOf(...Object.keys(primitives));
const formulaKind: Kind = { expected: 'a number or a formula', accepts: (value) => isObject(value) && 'kind' in value };

/** Makes a formula that applies a primitive to operands; a number stands for a constant. */
export function apply(primitive: Primitive, ...operands: readonly (Formula | number)[]): Formula {
  checkArgument('apply', 'the primitive', primitive, primitiveName);
  const { arity } = primitives[primitive];
  for (const operand of operands)
    if (typeof operand !== 'number') checkArgument('apply', 'an operand', operand, formulaKind);
  if (operands.length !== arity) {
    throw new Error(`formula: ${primitive} takes ${arity} operands, got ${operands.length}`);
  }
  const formulas = operands.map((operand) => (typeof operand === 'number' ? constant(operand) : operand));
  return { kind: 'apply', primitive, operands: formulas };
}

/** Rebuilds a formula bottom-up; `change` gets each node with rewritten operands. Shared nodes stay shared. */
export function rewrite(formula: Formula, change: (node: Formula) => Formula): Formula {
  const done = new Map<Formula, Formula>();
  const visit = (node: Formula): Formula => {
    const known = done.get(node);
    if (known !== undefined) return known;
    const result = change(node.kind === 'apply' ? { ...node, operands: node.operands.map(visit) } : node);
    done.set(node, result);
    return result;
  };
  return visit(formula);
}

/** Replaces each input of a formula by another formula. */
export function substituteInputs(formula: Formula, replace: (index: number) => Formula): Formula {
  checkArgument('substituteInputs', 'the formula', formula, formulaKind);
  checkArgument('substituteInputs', 'what replaces an input', replace, callback);
  return rewrite(formula, (node) => (node.kind === 'input' ? replace(node.index) : node));
}

/** Returns every node once, operands before the nodes that use them. */
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
