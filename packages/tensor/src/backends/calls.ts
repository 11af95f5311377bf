/** Kernel calls as the backends and the compiler see them: one entry for each kind of call, and what follows from it. */
import { isWholeNumber } from '../arguments.ts';
import type {
  GatherCall,
  KernelCall,
  Layout,
  MapCall,
  MatmulCall,
  PoolCall,
  ScatterAddCall,
  SoftmaxCall,
  SoftmaxGradientCall,
  Storage,
  StridedView,
  UnpoolCall,
} from '../backend.ts';
import { topological } from '../formula.ts';
import {
  contiguousStrides,
  formatShape,
  imageSize,
  type Shape,
  sameShape,
  sizeOf,
  type Windows,
  windowCount,
} from '../shape.ts';

/** Role of a storage in its call: the property that holds it, or the bias of its epilogue. */
export type Role =
  | ('input' | 'factor' | 'output' | 'left' | 'right' | 'bias' | 'indices' | 'argmaxIndices')
  | ('logits' | 'labels' | 'losses' | 'gradient')
  | ('key' | 'samples')
  | ('probabilities' | 'normalized' | 'inverseDeviations');

/** All calls but maps, whose operands have layouts. */
type PlainCall = Exclude<KernelCall, MapCall>;

interface CallKind<Call extends PlainCall> {
  readonly reads: readonly Role[];
  readonly writes: readonly Role[];
  /** Number of values that the call, without microbatches, reads or writes from the start of each storage. */
  sizes(call: Call): { readonly [Key in Role]?: number };
  /** Throws unless the call is well-formed; the lengths of its storages are checked by their sizes. */
  check?(call: Call): void;
  /** Returns the call for one of `count` microbatches, on the storages of the whole call. */
  microbatch?(call: Call, count: number): Call;
}

const kinds: { readonly [Kind in PlainCall['kind']]: CallKind<Extract<PlainCall, { kind: Kind }>> } = {
  reduce: {
    reads: ['input', 'factor'],
    writes: ['output'],
    sizes({ outer, length, inner }) {
      const size = outer * length * inner;
      return { input: size, factor: size, output: outer * inner };
    },
    check({ reduction, outer, length, inner, factor, microbatches }) {
      if (factor && (reduction !== 'sum' || inner !== 1)) throw new RangeError(`${reduction}: cannot have a factor`);
      if (reduction !== 'sum' && length === 0) throw new RangeError(`${reduction}: needs at least one value`);
      checkMicrobatches(reduction, microbatches, length, reduction === 'sum' && outer === 1);
    },
    microbatch: (call, count) => ({ ...call, length: call.length / count }),
  },
  matmul: {
    reads: ['left', 'right', 'bias'],
    writes: ['output'],
    sizes(call) {
      const { left, right } = operandsOf(call);
      const output = sizeOf(call.batch ?? []) * call.m * call.n;
      return {
        left: reachOf(left.shape, left.strides),
        right: reachOf(right.shape, right.strides),
        bias: call.n,
        output,
      };
    },
    check(call) {
      const { m, k, n, batch, epilogue, microbatches } = call;
      const { left, right } = operandsOf(call);
      checkLayout('matmul', 'the left operand', left.shape, left);
      checkLayout('matmul', 'the right operand', right.shape, right);
      const plain = batch === undefined && epilogue === undefined && left.offset === 0 && right.offset === 0;
      const fits = plain && sameShape(left.strides, [1, m]) && sameShape(right.strides, [n, 1]);
      checkMicrobatches('matmul', microbatches, k, fits);
    },
    microbatch: (call, count) => ({ ...call, k: call.k / count }),
  },
  crossEntropy: {
    reads: ['logits', 'labels'],
    writes: ['losses', 'gradient'],
    sizes({ rows, classes }) {
      return { logits: rows * classes, labels: rows, losses: rows, gradient: rows * classes };
    },
  },
  gather: indexing((picked, long) => ({ input: long, output: picked })),
  scatterAdd: {
    ...indexing((picked, long) => ({ input: picked, output: long })),
    check: ({ outer, count, microbatches }) => checkMicrobatches('scatterAdd', microbatches, count, outer === 1),
    microbatch: (call, count) => ({ ...call, count: call.count / count }),
  },
  random: {
    reads: ['key', 'samples'],
    writes: ['output'],
    sizes({ rows, columns }) {
      return { key: 4, samples: rows, output: rows * columns };
    },
  },
  convolution: {
    reads: ['left', 'right', 'bias'],
    writes: ['output'],
    sizes({ result, windows, filters }) {
      const images = imageSize(windows);
      const kernel = windows.windowHeight * windows.windowWidth * windows.channels * filters;
      const outputs = windowCount(windows) * filters;
      return {
        output: { left: images, right: kernel, bias: filters, output: outputs },
        inputGradient: { left: outputs, right: kernel, output: images },
        kernelGradient: { left: images, right: outputs, output: kernel },
      }[result];
    },
    check({ result, windows, epilogue, microbatches }) {
      if (epilogue !== undefined && result !== 'output') {
        throw new RangeError(`convolution: only the output takes an epilogue, not the ${result}`);
      }
      checkMicrobatches('convolution', microbatches, windows.images, result === 'kernelGradient');
    },
    microbatch: (call, count) => ({ ...call, windows: { ...call.windows, images: call.windows.images / count } }),
  },
  pool: {
    reads: ['input'],
    writes: ['output', 'argmaxIndices'],
    sizes: ({ windows }) => pooling(windows, (images, outputs) => ({ input: images, output: outputs })),
    check: checkPadding,
  },
  unpool: {
    reads: ['input', 'argmaxIndices'],
    writes: ['output'],
    sizes: ({ windows }) => pooling(windows, (images, outputs) => ({ input: outputs, output: images })),
    check: checkPadding,
  },
  softmax: {
    reads: ['input'],
    writes: ['output'],
    sizes: ({ rows, columns }) => ({ input: rows * columns, output: rows * columns }),
    check: checkPeriod,
  },
  softmaxGradient: {
    reads: ['gradient', 'probabilities'],
    writes: ['output'],
    sizes({ rows, columns }) {
      const size = rows * columns;
      return { gradient: size, probabilities: size, output: size };
    },
    check: checkPeriod,
  },
  layerNorm: {
    reads: ['input'],
    writes: ['output', 'inverseDeviations'],
    sizes: ({ rows, columns }) => ({ input: rows * columns, output: rows * columns, inverseDeviations: rows }),
  },
  layerNormGradient: {
    reads: ['gradient', 'normalized', 'inverseDeviations'],
    writes: ['output'],
    sizes({ rows, columns }) {
      const size = rows * columns;
      return { gradient: size, normalized: size, inverseDeviations: rows, output: size };
    },
  },
};

type Ends = { readonly input: number; readonly output: number };

/** An entry for picking values or its adjoint; `ends` gets the numbers of values picked and to pick from. */
function indexing(
  ends: (picked: number, long: number) => Ends,
): Pick<CallKind<GatherCall | ScatterAddCall>, 'reads' | 'writes' | 'sizes'> {
  return {
    reads: ['input', 'indices'],
    writes: ['output'],
    sizes({ outer, length, inner, count, ownIndices }) {
      const [picked, long] = [outer * count * inner, outer * length * inner];
      return { ...ends(picked, long), indices: ownIndices ? picked : count };
    },
  };
}

function pooling(windows: Windows, ends: (images: number, outputs: number) => Ends) {
  const outputs = windowCount(windows) * windows.channels;
  return { ...ends(imageSize(windows), outputs), argmaxIndices: outputs };
}

function checkPadding({ kind, windows }: PoolCall | UnpoolCall): void {
  const { windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (2 * paddingHeight > windowHeight || 2 * paddingWidth > windowWidth) {
    throw new RangeError(`${kind}: a window of ${windowHeight} x ${windowWidth} could cover padding alone`);
  }
}

function checkPeriod({ kind, rows, columns, period }: SoftmaxCall | SoftmaxGradientCall): void {
  if (period === undefined || (isWholeNumber(period, 1) && period <= columns && rows % period === 0)) return;
  throw new RangeError(`${kind}: ${rows} rows of ${columns} columns cannot be causal with a period of ${period}`);
}

/** Number of columns that a row of a softmax sees. */
export function visibleColumns({ columns, period }: Pick<SoftmaxCall, 'columns' | 'period'>, row: number): number {
  return period === undefined ? columns : columns - period + 1 + (row % period);
}

function checkMicrobatches(kind: string, microbatches: number | undefined, terms: number, fits: boolean): void {
  if (microbatches === undefined) return;
  if (!isWholeNumber(microbatches, 1) || terms % microbatches !== 0) {
    throw new RangeError(`${kind}: ${terms} terms cannot be cut into ${microbatches} equal microbatches`);
  }
  if (!fits) throw new RangeError(`${kind}: a call of this form takes no microbatches`);
}

/** Returns the shapes and the layouts of a product's operands. */
export function operandsOf({
  m,
  k,
  n,
  batch = [],
  leftLayout,
  rightLayout,
}: Pick<MatmulCall, 'm' | 'k' | 'n' | 'batch' | 'leftLayout' | 'rightLayout'>) {
  const operand = (shape: Shape, { offset = 0, strides }: Layout = { strides: contiguousStrides(shape) }) => {
    return { shape, offset, strides };
  };
  return { left: operand([...batch, m, k], leftLayout), right: operand([...batch, k, n], rightLayout) };
}

/** The entry of a call's kind. */
function kindOf(call: PlainCall): CallKind<PlainCall> {
  return kinds[call.kind] as CallKind<PlainCall>;
}

/** Returns the storages of a call with these roles, without those that the call does not have. */
function storagesOf(call: PlainCall, roles: readonly Role[]): [Role, Storage][] {
  const bias = 'epilogue' in call ? call.epilogue?.bias : undefined;
  const byRole = call as unknown as Readonly<Record<string, Storage | undefined>>;
  return roles.flatMap((role): [Role, Storage][] => {
    const storage = role === 'bias' ? bias : byRole[role];
    return storage === undefined ? [] : [[role, storage]];
  });
}

export function readsOf(call: KernelCall): readonly Storage[] {
  if (call.kind === 'map') return call.inputs.map((view) => view.storage);
  return storagesOf(call, kinds[call.kind].reads).map(([, storage]) => storage);
}

export function writesOf(call: KernelCall): readonly Storage[] {
  if (call.kind === 'map') return [call.output];
  return storagesOf(call, kinds[call.kind].writes).map(([, storage]) => storage);
}

/** Returns the same call on other storages. */
export function withStorages(call: KernelCall, replace: (storage: Storage) => Storage): KernelCall {
  if (call.kind === 'map') {
    const inputs = call.inputs.map((view) => ({ ...view, storage: replace(view.storage) }));
    return { ...call, inputs, output: replace(call.output) };
  }
  const { reads, writes } = kinds[call.kind];
  const { bias, ...own } = Object.fromEntries(
    storagesOf(call, [...reads, ...writes]).map(([role, storage]) => [role, replace(storage)]),
  );
  const epilogue = bias === undefined ? {} : { epilogue: { ...(call as MatmulCall).epilogue, bias } };
  return { ...call, ...own, ...epilogue } as KernelCall;
}

/** Whether a call writes nothing. */
export function isEmpty(call: KernelCall): boolean {
  if (call.kind === 'map') return sizeOf(call.shape) === 0;
  const { output, losses } = kindOf(call).sizes(call);
  return (output ?? losses) === 0;
}

/** A call whose sums can be split into microbatches. */
type SummingCall = Extract<KernelCall, { readonly microbatches?: number }>;

/** Returns the call for one of `count` microbatches, on the storages of the whole call. */
export function microbatchOf<Call extends SummingCall>(call: Call, count: number): Call {
  return kindOf(call).microbatch!(call, count) as Call;
}

/** Number of values of a call's output. */
export function outputLength(call: PlainCall): number {
  const sum = kindOf(call).sizes(call).output!;
  return 'stacked' in call && call.stacked ? sum * call.microbatches! : sum;
}

/** A loop, with each view's stride along it. */
export interface Axis {
  length: number;
  strides: readonly number[];
}

/** Returns the axes, outermost first, without those of size 1; merges neighbors that are contiguous in every view. */
export function joinAxes(shape: Shape, views: readonly (readonly number[])[]): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((length, position) => {
    if (length === 1) return;
    const strides = views.map((view) => view[position]!);
    const previous = axes.at(-1);
    if (previous?.strides.every((stride, which) => stride === strides[which]! * length)) {
      previous.length *= length;
      previous.strides = strides;
    } else {
      axes.push({ length, strides });
    }
  });
  return axes;
}

/** A call with a place, such as an address, instead of each storage. */
export type Placed<Call extends KernelCall, Place> = Call extends MapCall
  ? PlacedMap<Place>
  : { readonly [Key in keyof Call]: Key extends Role ? Place : Call[Key] } & Bias<Call, Place>;

/** Only products have a bias. */
type Bias<Call, Place> = 'epilogue' extends keyof Call ? { readonly bias?: Place } : unknown;

/** The places include the offsets of the layouts. */
export interface PlacedMap<Place> extends Pick<MapCall, 'kind' | 'formula' | 'shape'> {
  readonly inputs: readonly Place[];
  readonly output: Place;
  /** Strides of each input, then of the output. */
  readonly strides: readonly (readonly number[])[];
}

/** A table with one function for each kind of call; a missing kind does not compile. */
export type ByKind<Place, Rest extends readonly unknown[], Result> = {
  readonly [Kind in KernelCall['kind']]: (
    call: Placed<Extract<KernelCall, { kind: Kind }>, Place>,
    ...rest: Rest
  ) => Result;
};

/** Applies the table's function for the call. */
export function dispatch<Place, Rest extends readonly unknown[], Result>(
  table: ByKind<Place, Rest, Result>,
  call: Placed<KernelCall, Place>,
  ...rest: Rest
): Result {
  return (table[call.kind] as (call: Placed<KernelCall, Place>, ...rest: Rest) => Result)(call, ...rest);
}

/** Returns the inputs of a map, then its output. */
function viewsOf({ inputs, output, shape, outputLayout }: MapCall): StridedView[] {
  return [...inputs, { storage: output, ...(outputLayout ?? { strides: contiguousStrides(shape) }) }];
}

/** Number of values from the first element of a strided layout to its last. */
export function reachOf(shape: Shape, strides: readonly number[]): number {
  return sizeOf(shape) === 0 ? 0 : strides.reduce((sum, stride, axis) => sum + stride * (shape[axis]! - 1), 1);
}

/** Returns each storage of a call, with the number of values that the call reads or writes there. */
function sizedStorages(call: PlainCall): [Role, Storage, number][] {
  const sizes = Object.entries(kindOf(call).sizes(call)) as [Role, number][];
  return sizes.flatMap(([role, length]) =>
    storagesOf(call, [role]).map(([, storage]): [Role, Storage, number] => {
      return [role, storage, role === 'output' ? outputLength(call) : length];
    }),
  );
}

/** Replaces each storage of a call with the place of its values: `length` of them from `offset` on. */
export function placed<Place>(
  call: KernelCall,
  placeOf: (storage: Storage, length: number, offset: number, role: Role) => Place,
): Placed<KernelCall, Place> {
  if (call.kind === 'map') {
    const { kind, formula, shape } = call;
    const views = viewsOf(call);
    const places = views.map(({ storage, offset = 0, strides }, index) =>
      placeOf(storage, reachOf(shape, strides), offset, index < call.inputs.length ? 'input' : 'output'),
    );
    const output = places.pop()!;
    return { kind, formula, shape, inputs: places, output, strides: views.map(({ strides }) => strides) };
  }
  const places: { [Key in Role]?: Place } = {};
  for (const [role, storage, length] of sizedStorages(call)) {
    places[role] = placeOf(storage, length, offsetOf(call, role), role);
  }
  return { ...call, ...places } as Placed<Exclude<KernelCall, MapCall>, Place>;
}

/** First value that a call reads of a storage. */
function offsetOf(call: PlainCall, role: Role): number {
  if (call.kind !== 'matmul') return 0;
  return (role === 'left' ? call.leftLayout?.offset : role === 'right' ? call.rightLayout?.offset : 0) ?? 0;
}

function checkLength(kind: string, role: string, storage: Storage, needed: number): void {
  if (storage.length < needed) {
    throw new RangeError(`${kind}: ${role} needs ${needed} values, but its storage has ${storage.length}`);
  }
}

/** Whether the elements of `shape` lie one after another, in order, from the start of a storage. */
export function isContiguous(shape: Shape, { offset = 0, strides }: Layout): boolean {
  const contiguous = contiguousStrides(shape);
  return offset === 0 && shape.every((length, axis) => length === 1 || strides[axis] === contiguous[axis]);
}

function checkLayout(kind: string, role: string, shape: Shape, { offset = 0, strides }: Layout): void {
  if (strides.length !== shape.length || strides.some((stride) => stride < 0) || offset < 0) {
    throw new RangeError(
      `${kind}: ${role} needs an offset and one stride of at least 0 per axis of ${formatShape(shape)}, got ${offset} and ${formatShape(strides)}`,
    );
  }
}

function checkMap(call: MapCall): void {
  const { formula, shape, inputs } = call;
  for (const node of topological(formula)) {
    if (node.kind === 'input' && (node.index < 0 || node.index >= inputs.length)) {
      throw new RangeError(`map: the formula reads input ${node.index}, but there are ${inputs.length}`);
    }
  }
  viewsOf(call).forEach(({ storage, offset = 0, strides }, index) => {
    const role = index < inputs.length ? `input ${index}` : 'the output';
    checkLayout('map', role, shape, { offset, strides });
    const reach = reachOf(shape, strides);
    if (reach > 0) checkLength('map', role, storage, offset + reach);
  });
}

const roleNames: { readonly [Key in Role]?: string } = {
  left: 'the left operand',
  right: 'the right operand',
  argmaxIndices: 'the storage of argmax indices',
};

/** Checks a call. A RangeError for a short storage names it, the length it needs and the length it has. */
export function checkCall(call: KernelCall): void {
  if (call.kind === 'map') {
    checkMap(call);
    return;
  }
  kindOf(call).check?.(call);
  const name = call.kind === 'reduce' ? call.reduction : call.kind;
  for (const [role, storage, length] of sizedStorages(call)) {
    const needed = length === 0 ? 0 : offsetOf(call, role) + length;
    checkLength(name, roleNames[role] ?? `the ${role}`, storage, needed);
  }
}

/** Throws unless `offset` and `length` lie inside the storage. */
export function checkSlice(storage: Storage, offset: number, length: number): void {
  if (!isWholeNumber(offset) || !isWholeNumber(length) || offset + length > storage.length) {
    throw new RangeError(`slice: ${length} values from ${offset} on do not lie inside a storage of ${storage.length}`);
  }
}

/** Throws unless exactly as many values are copied as the storage holds. */
export function checkCopy(storage: Storage, given: number): void {
  if (given !== storage.length) {
    throw new RangeError(`upload: the storage holds ${storage.length} values, but ${given} were given`);
  }
}

/** Throws unless `length` is a whole number of at least 0. */
export function checkAllocation(length: number): void {
  if (!isWholeNumber(length)) {
    throw new RangeError(`allocate: the length must be a whole number of at least 0, got ${length}`);
  }
}

/**
 * Number of additions after term `index` of `count` in pairwise summation on a stack. Each term in turn is pushed; each
 * addition replaces the two topmost values with lower + upper.
 *
 * The additions form a tree: neighbors are added in pairs, left + right, then those sums in pairs, and so on. A value
 * without a neighbor is passed on unchanged. Terms a to e give (a + b), (c + d), ((a + b) + (c + d)),
 * (((a + b) + (c + d)) + e).
 *
 * The kernels of the cpu backend inline the same rule: kernels/tile.ts, kernels/sparse-product.ts and
 * kernels/reductions.ts.
 */
export function additionsAfter(index: number, count: number): number {
  const terms = index + 1;
  // Until the last term, the stack holds one complete tree for each 1 in the binary number of terms.
  return onesIn(index) + 1 - (terms < count ? onesIn(terms) : 1);
}

function onesIn(value: number): number {
  let ones = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}
