/** Tensors, and when their memory is freed. */
import {
  backendKind,
  boolean,
  callback,
  checkArgument,
  checkOptions,
  isObject,
  type Kind,
  list,
  number,
  shown,
  storageKind,
} from './arguments.ts';
import type { Backend, MicrobatchSums, Storage } from './backend.ts';
import { checkShape, formatShape, type Shape, ShapeError, sizeOf } from './shape.ts';

/** A storage shared by tensors that each view all of it; freed with the last tensor, unless borrowed. */
export class Memory {
  readonly backend: Backend;
  readonly storage: Storage;
  readonly #owned: boolean;
  #handles = 0;

  constructor(backend: Backend, storage: Storage, owned: boolean) {
    this.backend = backend;
    this.storage = storage;
    this.#owned = owned;
  }

  retain(): void {
    this.#handles++;
  }

  release(): void {
    this.#handles--;
    if (this.#handles === 0 && this.#owned) this.backend.free(this.storage);
  }
}

interface Disposable {
  dispose(): void;
}

const scopes: Set<Disposable>[] = [];

/** Adds a newly made resource to the innermost scope, if there is one. */
function enterScope(resource: Disposable): void {
  scopes.at(-1)?.add(resource);
}

/** Removes a resource from every scope: from then on its owner disposes of it. */
export function leaveScopes(resource: Disposable): void {
  for (const scope of scopes) scope.delete(resource);
}

/**
 * Runs `body` and disposes of every resource made in it, except the survivors picked from its result.
 * Survivors pass to the surrounding scope. If `body` throws, every resource made in it is disposed of.
 */
export function withScope<Result>(body: () => Result, survivors: (result: Result) => Iterable<Disposable>): Result {
  const scope = new Set<Disposable>();
  scopes.push(scope);
  let kept: Iterable<Disposable> = [];
  try {
    const result = body();
    kept = survivors(result);
    return result;
  } finally {
    scopes.pop();
    for (const resource of kept) if (scope.delete(resource)) enterScope(resource);
    for (const resource of scope) resource.dispose();
  }
}

/** A range of a storage, and when it was last written. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  writtenAt: number;
}

const slices = new WeakMap<Storage, { whole: Storage; start: number }>();
const writes = new WeakMap<Storage, Map<string, Stretch>>();
let clock = 0;

function placeOf(storage: Storage): { whole: Storage; start: number } {
  return slices.get(storage) ?? { whole: storage, start: 0 };
}

/** Records that `slice` shares the memory of `storage` from `offset` on. */
export function noteSlice(slice: Storage, storage: Storage, offset: number): void {
  const { whole, start } = placeOf(storage);
  slices.set(slice, { whole, start: start + offset });
}

/** Returns a function that records a write to `storage`; calling it allocates nothing. */
export function changeNoter(storage: Storage): () => void {
  const { whole, start } = placeOf(storage);
  const end = start + storage.length;
  const stretches = writes.get(whole) ?? new Map<string, Stretch>();
  writes.set(whole, stretches);
  const key = `${start}-${end}`;
  const stretch = stretches.get(key) ?? { start, end, writtenAt: 0 };
  stretches.set(key, stretch);
  return () => {
    clock += 1;
    stretch.writtenAt = clock;
  };
}

/** Records a write to `storage`. */
export function noteChange(storage: Storage): void {
  changeNoter(storage)();
}

/** Returns the current moment, for `changedSince`. */
export function now(): number {
  return clock;
}

/** Whether values of `storage` were written after `moment`. */
export function changedSince(storage: Storage, moment: number): boolean {
  const { whole, start } = placeOf(storage);
  const end = start + storage.length;
  for (const stretch of writes.get(whole)?.values() ?? []) {
    if (stretch.writtenAt > moment && stretch.start < end && stretch.end > start) return true;
  }
  return false;
}

/** Record of how a tensor was computed; written and read by autograd. */
export interface TapeNode {
  /** Walks the graph back from its output and adds to the `grad` of every leaf. */
  backward(output: Tensor): void;
}

/** Float32 values in row-major order. Ops never change a tensor; each returns a new one. */
export class Tensor implements Disposable {
  readonly backend: Backend;
  readonly shape: Shape;
  readonly size: number;
  /** If set on a leaf, a tensor that no op computed, `backward()` adds the gradient to its `grad`. */
  requiresGrad: boolean;
  /** Sum of the gradients of all `backward()` calls so far; disposed of with this tensor. */
  grad: Tensor | undefined = undefined;
  /** @internal */
  node: TapeNode | undefined = undefined;
  /** @internal Set by `valueAndGrad` on parameters whose gradient is summed per microbatch (backend.ts). */
  perMicrobatch: MicrobatchSums | undefined = undefined;
  /** @internal Error for reading values that were changed in place; set while a gradient is computed. */
  stale: string | undefined = undefined;
  /** @internal */
  readonly memory: Memory;
  #disposed = false;

  /** @internal Use `fromArray`, `fromStorage` or an operation. */
  constructor(memory: Memory, shape: Shape, requiresGrad = false) {
    this.memory = memory;
    this.backend = memory.backend;
    this.shape = shape;
    this.size = sizeOf(shape);
    this.requiresGrad = requiresGrad;
    memory.retain();
    enterScope(this);
  }

  /** The storage that holds this tensor's `size` values. */
  get storage(): Storage {
    if (this.#disposed) throw new Error(`tensor: this ${formatShape(this.shape)} tensor was already disposed`);
    if (this.stale !== undefined) throw new Error(this.stale);
    return this.memory.storage;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Returns a copy of the values. */
  values(): Promise<Float32Array> {
    return this.backend.download(this.storage);
  }

  /**
   * Adds the gradient of this scalar with respect to each leaf that requires one to the leaf's `grad`.
   * Frees the graph: a second call needs a new forward pass.
   */
  backward(): void {
    if (this.node === undefined) {
      throw new Error('backward: this tensor was not computed from any tensor that requires a gradient');
    }
    this.node.backward(this);
  }

  /** Frees the memory, unless another tensor shares it. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.memory.release();
    this.grad?.dispose();
    this.node = undefined;
  }
}

/** Throws unless the value is a tensor; a tensor of another copy of this module gets a different message. */
export function checkTensor(operation: string, name: string, value: unknown): asserts value is Tensor {
  if (value instanceof Tensor) return;
  if (isObject(value) && 'requiresGrad' in value && 'backend' in value) {
    throw new Error(
      `${operation}: ${name} is a tensor of another copy of @lockstep/tensor, whose gradients this one cannot follow; install one version only, which "npm ls @lockstep/tensor" shows`,
    );
  }
  throw new Error(`${operation}: ${name} must be a tensor, got ${shown(value)}`);
}

/** Throws unless the value is a list of tensors. */
export function checkTensors(operation: string, name: string, values: unknown): asserts values is readonly Tensor[] {
  checkArgument(operation, name, values, list);
  for (const [index, value] of (values as readonly unknown[]).entries()) {
    checkTensor(operation, `number ${index} of ${name}`, value);
  }
}

/** Options of functions that create a leaf. */
export interface LeafOptions {
  readonly requiresGrad?: boolean;
}

/** Fields of `LeafOptions`. */
export const leafOptions: Readonly<Record<string, Kind>> = { requiresGrad: boolean };

/** One value per element: a typed array, or a list of numbers. */
const flatValues: Kind = {
  expected: 'a list of numbers or a typed array, row by row',
  accepts: (value) =>
    Array.isArray(value) ? value.every(number.accepts) : ArrayBuffer.isView(value) && !(value instanceof DataView),
};

/** Creates a tensor with a copy of `values`. @throws ShapeError if their number is not the shape's size. */
export function fromArray(
  backend: Backend,
  values: ArrayLike<number>,
  givenShape?: Shape,
  options: LeafOptions = {},
): Tensor {
  checkArgument('fromArray', 'the backend', backend, backendKind);
  checkArgument('fromArray', 'the values', values, flatValues);
  const shape = givenShape === undefined ? [values.length] : givenShape;
  checkShape('fromArray', shape);
  checkOptions('fromArray', options, leafOptions);
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(
      `fromArray: ${formatShape(shape)} holds ${sizeOf(shape)} values, but ${values.length} were given`,
    );
  }
  const result = emptyTensor(backend, shape, options.requiresGrad);
  backend.upload(result.storage, values instanceof Float32Array ? values : Float32Array.from(values));
  return result;
}

/** Creates a tensor over a storage of the caller; disposing of the tensor does not free the storage. */
export function fromStorage(backend: Backend, storage: Storage, shape: Shape, options: LeafOptions = {}): Tensor {
  checkArgument('fromStorage', 'the backend', backend, backendKind);
  checkArgument('fromStorage', 'the storage', storage, storageKind);
  checkShape('fromStorage', shape);
  checkOptions('fromStorage', options, leafOptions);
  if (storage.length !== sizeOf(shape)) {
    throw new ShapeError(
      `fromStorage: ${formatShape(shape)} holds ${sizeOf(shape)} values, but the storage has ${storage.length}`,
    );
  }
  return new Tensor(new Memory(backend, storage, false), shape, options.requiresGrad);
}

/** @internal Creates a tensor whose values are still unspecified. */
export function emptyTensor(backend: Backend, shape: Shape, requiresGrad = false): Tensor {
  return new Tensor(new Memory(backend, backend.allocate(sizeOf(shape)), true), shape, requiresGrad);
}

/** Yields the tensors of a scope's result, on their own or inside arrays and plain objects. */
function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  const isPlain = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  if (isPlain || Array.isArray(value)) for (const item of Object.values(value)) yield* tensorsIn(item);
}

/**
 * Runs `body`, which must be synchronous, and disposes of the tensors made in it.
 * Keeps gradients in `grad` and the tensors that `body` returns, on their own or inside arrays and plain objects.
 */
export function tidy<Result>(body: () => Result): Result {
  checkArgument('tidy', 'the body', body, callback);
  return withScope(() => {
    const result = body();
    if (result instanceof Promise) throw new Error('tidy: the function must not be asynchronous, but gave a promise');
    return result;
  }, tensorsIn);
}
