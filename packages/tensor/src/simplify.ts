/** Rewrites the recorded calls of a plan into fewer ones with the same bits. */
import type {
  ConvolutionCall,
  Epilogue,
  KernelCall,
  Layout,
  MapCall,
  MatmulCall,
  Storage,
  StridedView,
} from './backend.ts';
import { isContiguous, joinAxes, operandsOf, readsOf, withStorages, writesOf } from './backends/calls.ts';
import { type Formula, input, rewrite, substituteInputs, topological } from './formula.ts';
import { contiguousStrides, type Shape, sameShape, sizeOf } from './shape.ts';

/** Longer formulas would not keep their intermediate values in the L1 cache. */
const largestFormula = 24;

/**
 * Removes calls that no output needs, reads through copies, and fuses maps: into products as epilogues, into sums as
 * factors.
 * `outputs` are the storages whose values are wanted.
 *
 * A storage is written by one call, or in parts by calls with an output layout, the first of which may follow one call
 * that writes the whole storage. No call reads it before the last of them.
 */
export function simplify(recorded: readonly KernelCall[], outputs: readonly Storage[]): KernelCall[] {
  const wanted = new Set(outputs);
  let calls = withoutDeadCalls(recorded, wanted);
  for (const change of [throughViews, withFusedMaps, throughCopies, withEpilogues, withFactors]) {
    calls = withoutDeadCalls(rewriteCalls(calls, wanted, change), wanted);
  }
  return calls;
}

/** The calls around one that is being rewritten. */
interface Surroundings {
  readonly wanted: ReadonlySet<Storage>;
  /** Returns the rewritten call that wrote a storage, unless calls write it in parts. */
  producerOf(storage: Storage): KernelCall | undefined;
  /** Whether the storage is read by one call alone, and not wanted. */
  isReadOnce(storage: Storage): boolean;
}

/** Rewrites the calls in order; a call that a rewritten one no longer reads is dead. */
function rewriteCalls(
  calls: readonly KernelCall[],
  wanted: ReadonlySet<Storage>,
  change: (call: KernelCall, surroundings: Surroundings) => KernelCall,
): KernelCall[] {
  const current = [...calls];
  const producers = new Map<Storage, KernelCall>();
  const readers = new ReaderCounts(calls, wanted);
  const surroundings: Surroundings = {
    wanted,
    producerOf: (storage) => producers.get(storage),
    isReadOnce: (storage) => readers.of(storage) === 1 && !wanted.has(storage),
  };
  calls.forEach((call, index) => {
    const changed = change(call, surroundings);
    if (changed !== call) readers.replace(call, changed);
    current[index] = changed;
    const isPart = changed.kind === 'map' && changed.outputLayout !== undefined;
    for (const storage of writesOf(changed)) {
      if (isPart) producers.delete(storage);
      else producers.set(storage, changed);
    }
  });
  return current;
}

function withoutDeadCalls(calls: readonly KernelCall[], wanted: ReadonlySet<Storage>): KernelCall[] {
  const needed = new Set(wanted);
  const kept: KernelCall[] = [];
  for (const call of calls.toReversed()) {
    if (!writesOf(call).some((storage) => needed.has(storage))) continue;
    for (const storage of readsOf(call)) needed.add(storage);
    if (call.kind === 'crossEntropy' && call.gradient && !needed.has(call.gradient)) {
      const { gradient: _, ...lossOnly } = call;
      kept.push(lossOnly);
    } else kept.push(call);
  }
  return kept.reverse();
}

/** Makes products and copies read the source of a copy, such as a slice or a permutation, directly. */
function throughViews(call: KernelCall, { producerOf }: Surroundings): KernelCall {
  if (call.kind === 'matmul' && call.microbatches === undefined) {
    const operands = operandsOf(call);
    const left = sourceOf({ ...operands.left, storage: call.left }, operands.left.shape, producerOf);
    const right = sourceOf({ ...operands.right, storage: call.right }, operands.right.shape, producerOf);
    return {
      ...call,
      ...(left && { left: left.storage, leftLayout: layoutOf(left) }),
      ...(right && { right: right.storage, rightLayout: layoutOf(right) }),
    };
  }
  if (call.kind !== 'map' || call.formula.kind !== 'input') return call;
  const source = sourceOf(call.inputs[call.formula.index]!, call.shape, producerOf);
  return source === undefined ? call : { ...call, formula: input(0), inputs: [source] };
}

function layoutOf({ offset = 0, strides }: StridedView): Layout {
  return { offset, strides };
}

/** Returns the view of a copy's source that has the values of `view`, a view of the copy; undefined if there is none. */
function sourceOf(
  { storage, offset = 0, strides }: StridedView,
  shape: Shape,
  producerOf: Surroundings['producerOf'],
): StridedView | undefined {
  const copy = producerOf(storage);
  if (copy?.kind !== 'map' || copy.formula.kind !== 'input' || sizeOf(shape) === 0) return undefined;
  const source = copy.inputs[copy.formula.index]!;
  // Each axis of the view must stay on one axis of the copy, outermost first.
  const axes = joinAxes(copy.shape, [contiguousStrides(copy.shape), source.strides]).map(
    ({ length, strides: both }) => ({
      length,
      own: both[0]!,
      there: both[1]!,
    }),
  );
  const ends = axes.map(({ length, own }) => Math.floor(offset / own) % length);
  const start = axes.reduce((sum, { there }, axis) => sum + there * ends[axis]!, source.offset ?? 0);
  const found = strides.map((stride, axis) => {
    if (shape[axis] === 1 || stride === 0) return 0;
    const along = axes.findIndex(({ own }) => own <= stride);
    if (along < 0 || stride % axes[along]!.own !== 0) return undefined;
    const steps = stride / axes[along]!.own;
    ends[along]! += steps * (shape[axis]! - 1);
    return steps * axes[along]!.there;
  });
  const fits = found.every((stride) => stride !== undefined) && ends.every((end, axis) => end < axes[axis]!.length);
  return fits ? { storage: source.storage, offset: start, strides: found } : undefined;
}

/** Counts the needed calls that read each storage, while calls are replaced in order by others with the same outputs. */
class ReaderCounts {
  readonly #wanted: ReadonlySet<Storage>;
  readonly #counts = new Map<Storage, number>();
  /** The calls that write a storage, at first one or more. */
  readonly #writers = new Map<Storage, KernelCall[]>();

  /** @param calls of which none is dead */
  constructor(calls: readonly KernelCall[], wanted: ReadonlySet<Storage>) {
    this.#wanted = wanted;
    for (const call of calls) this.#enter(call);
  }

  of(storage: Storage): number {
    return this.#counts.get(storage) ?? 0;
  }

  replace(call: KernelCall, changed: KernelCall): void {
    this.#enter(changed);
    this.#remove(call);
  }

  #enter(call: KernelCall): void {
    for (const storage of new Set(readsOf(call))) this.#counts.set(storage, this.of(storage) + 1);
    for (const storage of writesOf(call)) this.#writers.set(storage, [...(this.#writers.get(storage) ?? []), call]);
  }

  /** Also removes the calls that are then dead, because no other call reads what they write. */
  #remove(call: KernelCall): void {
    const removed = [call];
    for (const dead of removed) {
      for (const storage of writesOf(dead)) {
        const others = this.#writers.get(storage)!.filter((writer) => writer !== dead);
        this.#writers.set(storage, others);
      }
      for (const storage of new Set(readsOf(dead))) {
        this.#counts.set(storage, this.of(storage) - 1);
        const writers = this.#writers.get(storage) ?? [];
        removed.push(...writers.filter((writer) => !removed.includes(writer) && !this.#isNeeded(writer)));
      }
    }
  }

  #isNeeded(call: KernelCall): boolean {
    return writesOf(call).some((storage) => this.of(storage) > 0 || this.#wanted.has(storage));
  }
}

function withFusedMaps(call: KernelCall, { producerOf, isReadOnce }: Surroundings): KernelCall {
  if (call.kind !== 'map') return call;
  return absorb(call, ({ storage }) => {
    const producer = producerOf(storage);
    if (producer?.kind !== 'map') return undefined;
    return producer.formula.kind !== 'apply' || isReadOnce(storage) ? producer : undefined;
  });
}

/** Returns `consumer` with the formulas of its producers instead of reads of their outputs. */
function absorb(consumer: MapCall, producerOf: (view: StridedView) => MapCall | undefined): MapCall {
  const inputs: StridedView[] = [];
  const indexOf = (view: StridedView): number => {
    const known = inputs.findIndex((other) => sameView(other, view));
    return known >= 0 ? known : inputs.push(view) - 1;
  };
  let budget = largestFormula - topological(consumer.formula).length;
  const inlined = new Map<MapCall, Formula>();
  const replacements = consumer.inputs.map((view): Formula => {
    const producer = producerOf(view);
    if (producer !== undefined) {
      const known = inlined.get(producer);
      const views = viewsFrom(producer, consumer, view);
      const cost = topological(producer.formula).length;
      if (views !== undefined && (known !== undefined || cost <= budget)) {
        if (known !== undefined) return known;
        budget -= cost;
        const formula = substituteInputs(producer.formula, (index) => input(indexOf(views[index]!)));
        inlined.set(producer, formula);
        return formula;
      }
    }
    return input(indexOf(view));
  });
  const formula = withoutUnitFactors(substituteInputs(consumer.formula, (index) => replacements[index]!));
  return withUsedInputs({ ...consumer, formula, inputs });
}

/** Returns the producer's inputs as the consumer would read them; undefined if the access patterns differ. */
function viewsFrom(producer: MapCall, consumer: MapCall, view: StridedView): readonly StridedView[] | undefined {
  if (producer.inputs.length === 0) return [];
  if (sizeOf(producer.shape) !== sizeOf(consumer.shape) || !isContiguous(consumer.shape, view)) return undefined;
  if (sameShape(producer.shape, consumer.shape)) return producer.inputs;
  if (!producer.inputs.every((of) => isContiguous(producer.shape, of))) return undefined;
  const strides = contiguousStrides(consumer.shape);
  return producer.inputs.map(({ storage }) => ({ storage, strides }));
}

function sameView(left: StridedView, right: StridedView): boolean {
  const sameLayout = (left.offset ?? 0) === (right.offset ?? 0) && sameShape(left.strides, right.strides);
  return left.storage === right.storage && sameLayout;
}

/** Removes multiplications and divisions by 1, which change no bit. */
function withoutUnitFactors(formula: Formula): Formula {
  return rewrite(formula, (node) => {
    if (node.kind !== 'apply' || (node.primitive !== 'mul' && node.primitive !== 'div')) return node;
    const [left, right] = node.operands as [Formula, Formula];
    if (isOne(right)) return left;
    return node.primitive === 'mul' && isOne(left) ? right : node;
  });
}

function isOne(formula: Formula): boolean {
  return formula.kind === 'constant' && formula.value === 1;
}

/** Keeps each input once, and only inputs that the formula reads. */
function withUsedInputs(call: MapCall): MapCall {
  const used: number[] = [];
  for (const node of topological(call.formula)) {
    if (node.kind === 'input' && !used.includes(node.index)) used.push(node.index);
  }
  const merged = new Map(used.map((index, position) => [index, input(position)]));
  return {
    ...call,
    formula: substituteInputs(call.formula, (index) => merged.get(index)!),
    inputs: used.map((index) => call.inputs[index]!),
  };
}

/** Reads the source of a plain copy instead of the copy. */
function throughCopies(call: KernelCall, { producerOf, wanted }: Surroundings): KernelCall {
  const outputs = new Set(writesOf(call));
  const sourceOf = (storage: Storage): Storage => {
    const copy = producerOf(storage);
    if (copy?.kind !== 'map' || copy.formula.kind !== 'input' || wanted.has(storage)) return storage;
    const source = copy.inputs[copy.formula.index]!;
    return isContiguous(copy.shape, source) ? source.storage : storage;
  };
  return withStorages(call, (storage) => (outputs.has(storage) ? storage : sourceOf(storage)));
}

type Product = MatmulCall | ConvolutionCall;

/** Joins a map that adds a bias, applies relu, or both with the product that nothing else reads. */
function withEpilogues(call: KernelCall, { producerOf, isReadOnce }: Surroundings): KernelCall {
  if (call.kind !== 'map') return call;
  for (const view of call.inputs) {
    const product = producerOf(view.storage);
    const isOnlyView = call.inputs.every((other) => other === view || other.storage !== view.storage);
    if (!isOnlyView || product === undefined || !takesEpilogue(product) || !isReadOnce(view.storage)) continue;
    const epilogue = epilogueOf(call, view, product.kind === 'matmul' ? product.n : product.filters);
    if (epilogue !== undefined) return { ...product, output: call.output, epilogue };
  }
  return call;
}

/** Makes a sum over the last axis multiply its terms, instead of a map of products that nothing else reads. */
function withFactors(call: KernelCall, { producerOf, isReadOnce }: Surroundings): KernelCall {
  if (call.kind !== 'reduce' || call.reduction !== 'sum' || call.inner !== 1) return call;
  const map = producerOf(call.input);
  if (map?.kind !== 'map' || map.outputLayout !== undefined || !isReadOnce(call.input)) return call;
  const { formula, inputs, shape } = map;
  if (formula.kind !== 'apply' || formula.primitive !== 'mul') return call;
  if (!inputs.every((view) => isContiguous(shape, view))) return call;
  if (sizeOf(shape) !== call.outer * call.length) return call;
  const [input, factor] = formula.operands.map((operand) => operand.kind === 'input' && inputs[operand.index]!.storage);
  return input && factor ? { ...call, input, factor } : call;
}

function takesEpilogue(call: KernelCall): call is Product {
  if (call.kind === 'convolution') return call.result === 'output' && call.epilogue === undefined;
  return (
    call.kind === 'matmul' && call.batch === undefined && call.microbatches === undefined && call.epilogue === undefined
  );
}

/** Returns the map's effect on the product that it reads through `view`, if that is an epilogue. */
function epilogueOf(map: MapCall, view: StridedView, columns: number): Epilogue | undefined {
  const whole = sizeOf(map.shape) === view.storage.length && isContiguous(map.shape, view);
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
