/** Lets products add a bias and apply relu when they store their results, which saves a pass over them. */
import type { ConvolutionCall, Epilogue, KernelCall, MapCall, MatmulCall, Storage, StridedView } from '../backend.ts';
import { readsContiguously } from '../backends/check.ts';
import type { Formula } from '../formula.ts';
import { sizeOf } from '../shape.ts';
import { readsOf } from './call-parts.ts';

type Product = MatmulCall | ConvolutionCall;

/** Joins each product with the only map that reads it, if that adds a bias, applies relu, or both. */
export function withEpilogues(calls: readonly KernelCall[], wanted: ReadonlySet<Storage>): KernelCall[] {
  const readers = new Map<Storage, number>();
  for (const call of calls) for (const storage of readsOf(call)) readers.set(storage, (readers.get(storage) ?? 0) + 1);
  const products = new Map<Storage, Product>();
  const joined = new Set<KernelCall>();
  const result = calls.map((call): KernelCall => {
    if (takesEpilogue(call) && readers.get(call.output) === 1 && !wanted.has(call.output)) {
      products.set(call.output, call);
    }
    if (call.kind !== 'map') return call;
    for (const view of call.inputs) {
      const product = products.get(view.storage);
      if (product === undefined) continue;
      const epilogue = epilogueOf(call, view, product.kind === 'matmul' ? product.n : product.filters);
      if (epilogue === undefined) continue;
      joined.add(product);
      return { ...product, output: call.output, epilogue };
    }
    return call;
  });
  return result.filter((call) => !joined.has(call));
}

function takesEpilogue(call: KernelCall): call is Product {
  if (call.kind === 'convolution') return call.result === 'output';
  return call.kind === 'matmul' && call.batch === undefined && call.microbatches === undefined;
}

/** Returns the map's effect on the product that it reads through `view`, if that is an epilogue. */
function epilogueOf(map: MapCall, view: StridedView, columns: number): Epilogue | undefined {
  const whole = sizeOf(map.shape) === view.storage.length && readsContiguously(map, view);
  if (!whole || map.outputLayout !== undefined || map.shape.at(-1) !== columns) return undefined;
  const isProduct = (formula: Formula): boolean => formula.kind === 'input' && map.inputs[formula.index] === view;
  const inner = insideRelu(map.formula);
  const sum = inner ?? map.formula;
  const relu = inner !== undefined;
  if (isProduct(sum)) return relu ? { relu } : undefined;
  if (sum.kind !== 'apply' || sum.primitive !== 'add') return undefined;
  const [left, right] = sum.operands as [Formula, Formula];
  const other = isProduct(left) ? right : isProduct(right) ? left : undefined;
  // In `m + m` the other operand is the product itself, which is not computed yet.
  if (other?.kind !== 'input' || isProduct(other)) return undefined;
  const bias = map.inputs[other.index]!;
  return isRow(map, bias) ? { bias: bias.storage, relu } : undefined;
}

function insideRelu(formula: Formula): Formula | undefined {
  if (formula.kind !== 'apply' || formula.primitive !== 'maximum') return undefined;
  const [left, right] = formula.operands as [Formula, Formula];
  const isZero = (operand: Formula): boolean => operand.kind === 'constant' && Object.is(operand.value, 0);
  return isZero(right) ? left : isZero(left) ? right : undefined;
}

/** Whether the view repeats one contiguous row. */
function isRow({ shape }: MapCall, { offset = 0, strides }: StridedView): boolean {
  if (offset !== 0) return false;
  return strides.every((stride, axis) => shape[axis] === 1 || stride === (axis === shape.length - 1 ? 1 : 0));
}
