/** Runs a function once on a recording backend and returns a plan of its calls, with a static plan of their memory. */
import { backendKind, callback, checkArgument, checkOptions, type Kind, list, storageKind } from './arguments.ts';
import { type OpCall, runCall, watchOps } from './autograd.ts';
import type { Backend, KernelCall, Program, Storage } from './backend.ts';
import {
  checkAllocation,
  checkCall,
  checkCopy,
  isContiguous,
  readsOf,
  withStorages,
  writesOf,
} from './backends/calls.ts';
import { createReferenceBackend } from './backends/reference.ts';
import { input } from './formula.ts';
import { checkShape, type Shape, sizeOf } from './shape.ts';
import { simplify } from './simplify.ts';
import {
  changeNoter,
  checkTensor,
  checkTensors,
  emptyTensor,
  fromStorage,
  leaveScopes,
  Memory,
  Tensor,
  withScope,
} from './tensor.ts';

/** A recorded function; its storages stand for values that do not exist yet. */
interface Recording {
  readonly calls: readonly KernelCall[];
  readonly inputs: readonly Storage[];
  readonly outputs: readonly { readonly storage: Storage; readonly shape: Shape }[];
  /** Values that the function uploaded. */
  readonly constants: ReadonlyMap<Storage, Float32Array>;
}

function record(
  numericMode: string,
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
): Recording {
  const recorder = new Recorder(numericMode);
  const run = (): Recording => {
    const symbols = inputs.map(({ size, shape, requiresGrad }) => {
      return new Tensor(new Memory(recorder, recorder.allocate(size), false), shape, requiresGrad);
    });
    const result = body(...symbols);
    const returned: unknown = Array.isArray(result) ? result : [result];
    checkTensors('compile', 'what the function returns', returned);
    const outputs = returned.map((tensor) => {
      if (tensor.backend !== recorder) {
        throw new Error('compile: the function returned a tensor that it did not compute from its inputs');
      }
      return { storage: tensor.storage, shape: tensor.shape };
    });
    const { calls, constants } = recorder;
    return { calls, constants, outputs, inputs: symbols.map((symbol) => symbol.storage) };
  };
  return withScope(run, () => []);
}

/** The tensors of recorded ops: they have shapes, and only constants have values. */
export interface RecordedOps {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Values of the tensors that depend on no input, such as the mask of `add(x, mask)`. */
  readonly constants: ReadonlyMap<Tensor, Float32Array>;
}

/** Runs `body` on tensors that have shapes but no values, and passes `see` each op that it calls. */
export function recordOps(
  inputShapes: readonly Shape[],
  body: (...inputs: Tensor[]) => readonly Tensor[],
  see: (call: OpCall) => void,
): RecordedOps {
  const recorder = new Recorder('none');
  const run = () => {
    const inputs = inputShapes.map((shape) => emptyTensor(recorder, shape));
    const storages = new Map<Tensor, Storage>();
    const note = (tensors: readonly unknown[]): void => {
      for (const tensor of tensors) if (tensor instanceof Tensor) storages.set(tensor, tensor.storage);
    };
    const outputs = watchOps(
      (call) => {
        note([...call.args.flat(), call.output]);
        see(call);
      },
      () => body(...inputs),
    );
    note(outputs);
    const values = constantsOf(recorder);
    const constants = [...storages].flatMap(([tensor, storage]) => {
      const known = values.get(storage);
      return known ? [[tensor, known] as const] : [];
    });
    return { inputs, outputs, constants: new Map(constants) };
  };
  return withScope(run, () => []);
}

/** Computes what the recorded calls write without reading an input. */
function constantsOf({ calls, constants }: Recorder): ReadonlyMap<Storage, Float32Array> {
  const backend = createReferenceBackend();
  const places = new Map<Storage, Storage>();
  const place = (symbol: Storage): Storage => {
    const storage = places.get(symbol) ?? backend.allocate(symbol.length);
    places.set(symbol, storage);
    return storage;
  };
  for (const [symbol, values] of constants) backend.upload(place(symbol), values);
  for (const call of calls) {
    if (readsOf(call).every((storage) => places.has(storage))) runCall(backend, withStorages(call, place));
    else for (const storage of writesOf(call)) places.delete(storage);
  }
  return new Map([...places].map(([symbol, storage]) => [symbol, backend.view(storage)]));
}

class Recorder implements Backend {
  readonly name = 'recorder';
  readonly numericMode: string;
  readonly calls: KernelCall[] = [];
  readonly constants = new Map<Storage, Float32Array>();

  constructor(numericMode: string) {
    this.numericMode = numericMode;
  }

  /** Creates a placeholder for values that exist when the plan runs; simplify.ts says which calls may write it. */
  allocate(length: number): Storage {
    checkAllocation(length);
    return { length };
  }

  slice(): Storage {
    throw new Error('compile: a storage cannot be sliced while a function is recorded');
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.constants.set(storage, values.slice());
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    const divided = Float32Array.from(bytes, (byte) => byte / Math.fround(divisor));
    this.upload(storage, divided);
  }

  async download(): Promise<Float32Array> {
    throw new Error('compile: a tensor has no values while a function is recorded; return it as an output');
  }

  free(): void {
    // Lifetimes are derived from the calls.
  }

  prepare(calls: readonly KernelCall[]): Program {
    calls.forEach(checkCall);
    return {
      run: () => {
        this.calls.push(...calls);
      },
      dispose: () => {},
    };
  }
}

interface OutputTargets {
  /** One for each output. */
  readonly targets: readonly Storage[];
  readonly output: Storage;
  /** Offsets of the outputs packed into `output`. */
  readonly offsets: ReadonlyMap<Storage, number>;
}

/** Returns for each output its storage in `into`, or else its slice of `given` or of a new storage. */
function outputTargets(
  backend: Backend,
  outputs: readonly { readonly storage: Storage }[],
  { into, output: given }: { readonly into: readonly (Storage | undefined)[]; readonly output: Storage | undefined },
  allocate: (length: number) => Storage,
): OutputTargets {
  const together = outputs.filter((_, index) => into[index] === undefined);
  const length = together.reduce((total, { storage }) => total + storage.length, 0);
  if (given !== undefined) checkLength('the outputs have', length, given);
  const output = given ?? allocate(length);
  const offsets = new Map<Storage, number>();
  let offset = 0;
  const targets = outputs.map(({ storage }, index) => {
    const named = into[index];
    if (named !== undefined) {
      checkLength(`output ${index} has`, storage.length, named);
      return named;
    }
    const target = backend.slice(output, offset, storage.length);
    offsets.set(target, offset);
    offset += storage.length;
    return target;
  });
  return { targets, output, offsets };
}

function checkLength(what: string, length: number, storage: Storage): void {
  if (storage.length === length) return;
  throw new Error(`compile: ${what} ${length} values, but the storage for it has ${storage.length}`);
}

/** Returns the calls with another storage instead of `output`. */
function redirect(
  backend: Backend,
  calls: readonly KernelCall[],
  { offsets }: Pick<OutputTargets, 'offsets'>,
  output: Storage,
): KernelCall[] {
  const moved = new Map(
    Array.from(offsets, ([target, offset]) => [target, backend.slice(output, offset, target.length)]),
  );
  return calls.map((call) => withStorages(call, (storage) => moved.get(storage) ?? storage));
}

/**
 * Lets calls write outputs into their targets, or adds copies at the end if that is impossible: for an output that is
 * an input or is returned twice, or a target whose old values are still read later.
 */
function placeOutputs(
  calls: readonly KernelCall[],
  outputs: readonly Storage[],
  targets: readonly Storage[],
  places: Map<Storage, Storage>,
): KernelCall[] {
  const saves: KernelCall[] = [];
  const copies: KernelCall[] = [];
  const given = new Map(places);
  const writers = new Map<Storage, number>();
  calls.forEach((call, index) => {
    for (const storage of writesOf(call)) if (!writers.has(storage)) writers.set(storage, index);
  });
  const last = lastReads(calls, (storage) => given.get(storage));
  outputs.forEach((storage, index) => {
    const target = targets[index]!;
    const writer = writers.get(storage)!;
    const isReadLater = (last.get(target) ?? -1) > writer;
    if (!places.has(storage) && !isReadLater && mayWriteDirectly(calls[writer]!, target, given)) {
      places.set(storage, target);
      return;
    }
    let source = storage;
    if (given.has(storage)) {
      // Another output may overwrite this input before it is copied.
      source = { length: storage.length };
      saves.push(copyCall(storage, source));
    }
    copies.push(copyCall(source, target));
    places.set(target, target);
  });
  return [...saves, ...calls, ...copies];
}

function copyCall(from: Storage, to: Storage): KernelCall {
  const view = { storage: from, strides: [1] };
  return { kind: 'map', formula: input(0), shape: [from.length], inputs: [view], output: to };
}

/** Whether the call may write to `target`: it reads nothing there, or each value just before it is replaced. */
function mayWriteDirectly(call: KernelCall, target: Storage, given: ReadonlyMap<Storage, Storage>): boolean {
  const sameMemory = (storage: Storage): boolean => given.get(storage) === target;
  if (call.kind !== 'map' || call.outputLayout !== undefined) return !readsOf(call).some(sameMemory);
  return call.inputs.every((view) => !sameMemory(view.storage) || isContiguous(call.shape, view));
}

/** A compiled function. */
export interface Plan {
  /** Inputs, in the order given. The caller fills the storages of inputs that were given as a shape. */
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** One storage with all outputs in order, except outputs that `into` redirects. */
  readonly output: Storage;
  /** Kinds of the calls of one run. */
  readonly calls: readonly KernelCall['kind'][];
  /** Number of values in the arena that the intermediate results share. */
  readonly arenaLength: number;
  /** Computes the outputs from the current values of the inputs; allocates nothing. */
  run(): void;
  /** Returns a program that writes to another storage, as long as `output`, instead; the plan owns the program. */
  into(output: Storage): Program;
  /** Frees everything that the plan allocated, including its inputs and outputs. */
  dispose(): void;
}

/**
 * Runs `body` once on tensors without values, and compiles the calls that it makes.
 * In `body`, `backward()`, `valueAndGrad` and all ops work as usual, but values cannot be read, and every tensor must
 * come in as an input. An input is a tensor, whose storage each run reads, or a shape, for which the plan allocates.
 *
 * If `into[i]` is given, output number i is written to it instead of `plan.output`. It may be the storage of an input,
 * which is then updated in place, after every read of its old values; otherwise it must not overlap an input. If
 * `output` is given, it is used as `plan.output`; the caller still owns it.
 */
export function compile(
  backend: Backend,
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputShapes: readonly (Tensor | Shape)[],
  options: { readonly into?: readonly (Storage | undefined)[]; readonly output?: Storage } = {},
): Plan {
  checkArgument('compile', 'the backend', backend, backendKind);
  checkArgument('compile', 'the function', body, callback);
  checkArgument('compile', 'the inputs', inputShapes, list);
  checkOptions('compile', options, { into: storages, output: storageKind });
  const { into = [], output: given } = options;
  const { allocate, free } = ownStorages(backend);
  try {
    const inputs = inputShapes.map((input) => bindInput(backend, input, allocate));
    const recording = record(backend.numericMode, body, inputs);
    const placement = outputTargets(backend, recording.outputs, { into, output: given }, allocate);
    const { output, targets } = placement;
    const { calls, arenaLength } = placeCalls(backend, recording, inputs, targets, allocate);
    const program = backend.prepare(calls);
    const others = new Map<Storage, Program>();
    const outputs = recording.outputs.map(({ shape }, index) => fromStorage(backend, targets[index]!, shape));
    const changes = targets.map(changeNoter);
    for (const tensor of [...inputs, ...outputs]) leaveScopes(tensor);
    return {
      inputs,
      outputs,
      output,
      calls: calls.map((call) => call.kind),
      arenaLength,
      run() {
        program.run();
        for (let index = 0; index < changes.length; index++) changes[index]!();
      },
      into(other) {
        checkArgument('into', 'the output', other, storageKind);
        if (other === output) return program;
        const known = others.get(other) ?? backend.prepare(redirect(backend, calls, placement, other));
        others.set(other, known);
        return known;
      },
      dispose() {
        for (const each of [program, ...others.values()]) each.dispose();
        for (const tensor of [...inputs, ...outputs]) tensor.dispose();
        free();
      },
    };
  } catch (error) {
    free();
    throw error;
  }
}

/** Allocates the storages of a plan, and frees all of them at once. */
function ownStorages(backend: Backend) {
  const owned: Storage[] = [];
  return {
    allocate(length: number): Storage {
      const storage = backend.allocate(length);
      owned.push(storage);
      return storage;
    },
    free(): void {
      for (const storage of owned.splice(0)) backend.free(storage);
    },
  };
}

/** Places the simplified calls on inputs, constants, output targets, and one arena for all intermediate results. */
function placeCalls(
  backend: Backend,
  recording: Recording,
  inputs: readonly Tensor[],
  targets: readonly Storage[],
  allocate: (length: number) => Storage,
): { calls: KernelCall[]; arenaLength: number } {
  const places = new Map(recording.inputs.map((symbol, index) => [symbol, inputs[index]!.storage]));
  for (const [symbol, values] of recording.constants) {
    const storage = allocate(values.length);
    backend.upload(storage, values);
    places.set(symbol, storage);
  }
  const wanted = recording.outputs.map((output) => output.storage);
  const simplified = simplify(recording.calls, wanted);
  const calls = placeOutputs(simplified, wanted, targets, places);
  const { offsets, length } = layOut(calls, new Set(places.keys()));
  const arena = allocate(length);
  for (const [symbol, offset] of offsets) places.set(symbol, backend.slice(arena, offset, symbol.length));
  return {
    calls: calls.map((call) => withStorages(call, (symbol) => places.get(symbol) ?? symbol)),
    arenaLength: length,
  };
}

/** An undefined item stands for `plan.output`. */
const storages: Kind = {
  expected: 'a list of storages or undefined',
  accepts: (value) => Array.isArray(value) && value.every((item) => item === undefined || storageKind.accepts(item)),
};

function bindInput(backend: Backend, given: Tensor | Shape, allocate: (length: number) => Storage): Tensor {
  if (!(given instanceof Tensor)) {
    if (!Array.isArray(given)) checkTensor('compile', 'an input that is no shape', given);
    checkShape('compile', given);
    return fromStorage(backend, allocate(sizeOf(given)), given);
  }
  if (given.backend !== backend) {
    throw new Error(`compile: an input lives on ${given.backend.name}, but the plan is for ${backend.name}`);
  }
  return fromStorage(backend, given.storage, given.shape, { requiresGrad: given.requiresGrad });
}

/** Offsets are multiples of this many values: a cache line. */
const alignment = 16;

interface Gap {
  start: number;
  end: number;
}

/** Free space below a high-water mark. */
class Arena {
  readonly #gaps: Gap[] = [];
  length = 0;

  /** Takes the smallest gap that is large enough, else space at the end. */
  take(size: number): number {
    const roomIn = ({ start, end }: Gap): number => end - start;
    const largeEnough = this.#gaps.filter((gap) => roomIn(gap) >= size);
    const [best] = largeEnough.sort((left, right) => roomIn(left) - roomIn(right));
    if (best !== undefined) {
      const { start } = best;
      best.start += size;
      if (best.start === best.end) this.#gaps.splice(this.#gaps.indexOf(best), 1);
      return start;
    }
    const last = this.#gaps.at(-1);
    const start = last?.end === this.length ? this.#gaps.pop()!.start : this.length;
    this.length = start + size;
    return start;
  }

  give(start: number, size: number): void {
    const after = this.#gaps.findIndex((gap) => gap.start > start);
    const index = after < 0 ? this.#gaps.length : after;
    this.#gaps.splice(index, 0, { start, end: start + size });
    for (const at of [index, index - 1]) {
      const [gap, next] = [this.#gaps[at], this.#gaps[at + 1]];
      if (gap === undefined || next === undefined || gap.end !== next.start) continue;
      gap.end = next.end;
      this.#gaps.splice(at + 1, 1);
    }
  }
}

function roomFor(storage: Storage): number {
  return Math.max(1, Math.ceil(storage.length / alignment)) * alignment;
}

/** Returns the index of the last call that reads each place. Storages without a place are ignored. */
function lastReads(
  calls: readonly KernelCall[],
  placeOf: (storage: Storage) => Storage | undefined = (storage) => storage,
): Map<Storage, number> {
  const last = new Map<Storage, number>();
  calls.forEach((call, index) => {
    for (const storage of readsOf(call)) {
      const place = placeOf(storage);
      if (place !== undefined) last.set(place, index);
    }
  });
  return last;
}

/** Returns an input that a map may overwrite with its output: same length, read in order, not read later. */
function overwritable(call: KernelCall, dying: (storage: Storage) => boolean): Storage | undefined {
  if (call.kind !== 'map' || call.outputLayout !== undefined) return undefined;
  return call.inputs.find(({ storage }) => {
    const views = call.inputs.filter((view) => view.storage === storage);
    const inOrder = views.every((view) => isContiguous(call.shape, view));
    return inOrder && storage.length === call.output.length && dying(storage);
  })?.storage;
}

/**
 * Places every storage that calls write and that is not `placed`; several calls may write parts of one storage. Offsets
 * and the arena's length count values.
 */
export function layOut(
  calls: readonly KernelCall[],
  placed: ReadonlySet<Storage>,
): { offsets: Map<Storage, number>; length: number } {
  const arena = new Arena();
  const offsets = new Map<Storage, number>();
  const last = lastReads(calls);
  calls.forEach((call, index) => {
    const inherited = overwritable(call, (storage) => offsets.has(storage) && last.get(storage) === index);
    const written = writesOf(call).filter((storage) => !placed.has(storage) && !offsets.has(storage));
    for (const storage of written) {
      offsets.set(storage, inherited === undefined ? arena.take(roomFor(storage)) : offsets.get(inherited)!);
    }
    for (const storage of new Set(readsOf(call))) {
      const offset = offsets.get(storage);
      const passedOn = storage === inherited && written.length > 0;
      if (offset !== undefined && last.get(storage) === index && !passedOn) arena.give(offset, roomFor(storage));
    }
    for (const storage of written) if (!last.has(storage)) arena.give(offsets.get(storage)!, roomFor(storage));
  });
  return { offsets, length: arena.length };
}
