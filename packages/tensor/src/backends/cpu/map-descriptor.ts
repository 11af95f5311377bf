/** Writes an elementwise formula as the descriptor that the map kernel interprets. */
import type { MapCall } from '../../backend.ts';
import { type Formula, type Primitive, topological } from '../../formula.ts';
import { joinAxes } from '../axes.ts';
import type { Placed } from '../operands.ts';
import type { Descriptor } from './descriptor.ts';
import * as opcodes from './opcodes.ts';

const { chunkLength } = opcodes;
const codes: Readonly<Record<Primitive | 'copy' | 'addProduct' | 'subProduct', number>> = opcodes;

type Application = Extract<Formula, { kind: 'apply' }>;

/** For each sum or difference with a product that nothing else reads: its operands, as `x ± y * z`. */
function withProducts(nodes: readonly Formula[]) {
  const readers = new Map<Formula, number>();
  for (const node of nodes) {
    if (node.kind !== 'apply') continue;
    for (const operand of node.operands) readers.set(operand, (readers.get(operand) ?? 0) + 1);
  }
  const joined = new Map<Formula, { product: Application; operands: readonly Formula[] }>();
  for (const node of nodes) {
    if (node.kind !== 'apply' || (node.primitive !== 'add' && node.primitive !== 'sub')) continue;
    const [left, right] = node.operands as [Formula, Formula];
    const isProduct = (formula: Formula): formula is Application =>
      formula.kind === 'apply' && formula.primitive === 'mul' && readers.get(formula) === 1;
    if (isProduct(right)) joined.set(node, { product: right, operands: [left, ...right.operands] });
    else if (node.primitive === 'add' && isProduct(left)) {
      joined.set(node, { product: left, operands: [right, ...left.operands] });
    }
  }
  return joined;
}

/** Slots: the inputs, then constants and intermediate values, last the output. */
function assemble(formula: Formula, inputCount: number) {
  const slotOf = new Map<Formula, number>();
  const constants: [number, number][] = [];
  let slots = inputCount;
  const all = topological(formula);
  const joined = withProducts(all);
  const products = new Set<Formula>(Array.from(joined.values(), ({ product }) => product));
  const nodes = all.filter((node) => !products.has(node));
  for (const node of nodes) {
    if (node.kind === 'constant') constants.push([slots, node.value]);
    slotOf.set(node, node.kind === 'input' ? node.index : slots++);
  }
  const instructions = nodes.flatMap((node) => {
    if (node.kind !== 'apply') return [];
    const withProduct = joined.get(node);
    const operands = (withProduct?.operands ?? node.operands).map((operand) => slotOf.get(operand)!);
    const code = withProduct === undefined ? node.primitive : node.primitive === 'add' ? 'addProduct' : 'subProduct';
    return [{ code: codes[code], target: slotOf.get(node)!, operands }];
  });
  if (formula.kind !== 'apply') {
    instructions.push({ code: codes.copy, target: slots++, operands: [slotOf.get(formula)!] });
  }
  return { instructions, constants, slots };
}

export function mapDescriptor({ formula, shape, inputs, output, strides }: Placed<MapCall, number>): Descriptor {
  const { instructions, constants, slots } = assemble(formula, inputs.length);
  const axes = joinAxes(shape, strides);
  const inner = axes.pop() ?? { length: 1, strides: strides.map(() => 1) };
  const outerElements = axes.reduce((product, axis) => product * axis.length, 1);
  const headerWords = 7 + 2 * axes.length + strides.length * (2 + axes.length) + 5 * instructions.length;
  const chunksOffset = 4 * (headerWords + slots);
  return {
    bytes: chunksOffset + 4 * chunkLength * slots,
    write(buffer, address) {
      const slotPointers = address + 4 * headerWords;
      const chunks = address + chunksOffset;
      const counts = [instructions.length, inputs.length, axes.length, outerElements, inner.length];
      const words = [...counts, slotPointers, chunks];
      for (const axis of axes) words.push(axis.length, 0);
      [...inputs, output].forEach((pointer, which) => {
        words.push(pointer, 4 * inner.strides[which]!, ...axes.map((axis) => 4 * axis.strides[which]!));
      });
      for (const { code, target, operands } of instructions) {
        const [a = 0, b = a, c = a] = operands;
        words.push(code, target, a, b, c);
      }
      for (let slot = 0; slot < slots; slot++) words.push(chunks + 4 * chunkLength * slot);
      new Uint32Array(buffer, address, words.length).set(words);
      for (const [slot, value] of constants) {
        new Float32Array(buffer, chunks + 4 * chunkLength * slot, chunkLength).fill(value);
      }
    },
  };
}
