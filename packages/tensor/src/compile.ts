/** Turns a function of tensors into a plan: recorded once, simplified, laid out in static memory, run many times. */
import type { Backend, KernelCall, Storage } from './backend.ts';
import { readsContiguously } from './backends/check.ts';
import { changeNoter } from './changes.ts';
import { readsOf, withStorages, writesOf } from './compile/call-parts.ts';
import { lastReads, layOut } from './compile/layout.ts';
import { Recorder } from './compile/recorder.ts';
import { simplify } from './compile/simplify.ts';
import { input } from './formula.ts';
import { leaveScopes, Memory, withScope } from './memory.ts';
import { checkShape, type Shape, sizeOf } from './shape.ts';
import { fromStorage, Tensor } from './tensor.ts';

/** A tensor that exists, whose storage is read at each run; or the shape of an input that the plan allocates. */
export type CompileInput = Tensor | Shape;

export interface CompileOptions {
  /**
   * Where output number i goes instead of `plan.output`. It may be the very storage of an input, which is then updated
   * in place, after every read of its old values; otherwise it must not overlap an input.
   */
  readonly into?: readonly (Storage | undefined)[];
}

/** A compiled function. */
export interface Plan {
  /** In the order of the inputs given; write into the storage of those that were given as a shape. */
  readonly inputs: readonly Tensor[];
  /** In the order returned. */
  readonly outputs: readonly Tensor[];
  /** The outputs one after another (without those that went elsewhere), in one storage. */
  readonly output: Storage;
  /** The calls of one run, by kind, in order. */
  readonly calls: readonly KernelCall['kind'][];
  /** Number of values in the arena that the intermediate results share. */
  readonly arenaLength: number;
  /** Computes the outputs from what the inputs hold now; allocates nothing. */
  run(): void;
  /** Gives back everything the plan allocated, its inputs and outputs included. */
  dispose(): void;
}

interface Recording {
  readonly calls: readonly KernelCall[];
  readonly inputs: readonly Storage[];
  readonly outputs: readonly { readonly storage: Storage; readonly shape: Shape }[];
  readonly constants: ReadonlyMap<Storage, Float32Array>;
}

function record(
  backend: Backend,
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
): Recording {
  const recorder = new Recorder(backend.numericMode);
  return withScope(
    () => {
      const symbols = inputs.map((given) => {
        const symbol = recorder.allocate(given.size);
        return new Tensor(new Memory(recorder, symbol, false), given.shape, given.requiresGrad);
      });
      const result = body(...symbols);
      const outputs = (result instanceof Tensor ? [result] : [...result]).map((tensor) => {
        if (!(tensor instanceof Tensor)) throw new Error('compile: the function must return tensors');
        if (tensor.backend !== recorder) {
          throw new Error('compile: the function returned a tensor that it did not compute from its inputs');
        }
        return { storage: tensor.storage, shape: tensor.shape };
      });
      const { calls, constants } = recorder;
      return { calls, constants, outputs, inputs: symbols.map((symbol) => symbol.storage) };
    },
    () => [],
  );
}

/**
 * Runs `body` once on tensors without values and compiles what it did. In it, `backward()`, `valueAndGrad` and every
 * operation work as always, but values cannot be read and tensors can come in only as inputs.
 */
export function compile(
  backend: Backend,
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly CompileInput[],
  options: CompileOptions = {},
): Plan {
  const owned: Storage[] = [];
  const allocate = (length: number): Storage => {
    const storage = backend.allocate(length);
    owned.push(storage);
    return storage;
  };
  const free = (): void => {
    for (const storage of owned.splice(0)) backend.free(storage);
  };
  try {
    return build(backend, body, inputs, options, allocate, free);
  } catch (error) {
    free();
    throw error;
  }
}

function build(
  backend: Backend,
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly CompileInput[],
  options: CompileOptions,
  allocate: (length: number) => Storage,
  free: () => void,
): Plan {
  const bound = inputs.map((given) => bindInput(backend, given, allocate));
  const recording = record(backend, body, bound);
  const places = new Map<Storage, Storage>();
  recording.inputs.forEach((symbol, index) => {
    places.set(symbol, bound[index]!.storage);
  });
  for (const [symbol, values] of recording.constants) {
    const storage = allocate(values.length);
    backend.upload(storage, values);
    places.set(symbol, storage);
  }
  const targets = outputTargets(backend, recording, options, allocate);
  const simplified = simplify(
    recording.calls,
    recording.outputs.map((output) => output.storage),
    backend.epilogues ?? false,
  );
  const calls = placeOutputs(simplified, recording, targets.storages, places);
  const layout = layOut(calls, new Set(places.keys()));
  const arena = allocate(layout.length);
  for (const [symbol, offset] of layout.offsets) places.set(symbol, backend.slice(arena, offset, symbol.length));
  const program = backend.prepare(calls.map((call) => withStorages(call, (symbol) => places.get(symbol) ?? symbol)));

  const outputs = recording.outputs.map(({ shape }, index) => fromStorage(backend, targets.storages[index]!, shape));
  const changes = targets.storages.map(changeNoter);
  for (const tensor of [...bound, ...outputs]) leaveScopes(tensor);
  return {
    inputs: bound,
    outputs,
    output: targets.output,
    calls: calls.map((call) => call.kind),
    arenaLength: layout.length,
    run() {
      program.run();
      for (let index = 0; index < changes.length; index++) changes[index]!();
    },
    dispose() {
      program.dispose();
      for (const tensor of [...bound, ...outputs]) tensor.dispose();
      free();
    },
  };
}

function bindInput(backend: Backend, given: CompileInput, allocate: (length: number) => Storage): Tensor {
  if (!(given instanceof Tensor)) {
    checkShape('compile', given);
    return fromStorage(backend, allocate(sizeOf(given)), given);
  }
  if (given.backend !== backend) {
    throw new Error(`compile: an input lives on ${given.backend.name}, but the plan is for ${backend.name}`);
  }
  return fromStorage(backend, given.storage, given.shape, { requiresGrad: given.requiresGrad });
}

/** Where each output goes: the storage named for it, or its stretch of one new storage. */
function outputTargets(
  backend: Backend,
  { outputs }: Recording,
  { into = [] }: CompileOptions,
  allocate: (length: number) => Storage,
): { output: Storage; storages: Storage[] } {
  const together = outputs.filter((_, index) => into[index] === undefined);
  const output = allocate(together.reduce((total, { storage }) => total + storage.length, 0));
  let offset = 0;
  const storages = outputs.map(({ storage: { length } }, index) => {
    const named = into[index];
    if (named !== undefined) {
      if (named.length !== length) {
        throw new Error(`compile: output ${index} has ${length} values, but the storage for it has ${named.length}`);
      }
      return named;
    }
    offset += length;
    return backend.slice(output, offset - length, length);
  });
  return { output, storages };
}

/**
 * Lets calls write outputs where they belong, and adds copies at the end where that cannot be: an output that is an
 * input or is returned twice, or a target whose old values are still read later.
 */
function placeOutputs(
  simplified: readonly KernelCall[],
  { outputs }: Recording,
  targets: readonly Storage[],
  places: Map<Storage, Storage>,
): KernelCall[] {
  const saves: KernelCall[] = [];
  const copies: KernelCall[] = [];
  const given = new Map(places);
  outputs.forEach(({ storage }, index) => {
    const target = targets[index]!;
    if (!places.has(storage) && mayWriteDirectly(simplified, storage, target, given)) {
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
  return [...saves, ...simplified, ...copies];
}

function copyCall(from: Storage, to: Storage): KernelCall {
  const view = { storage: from, strides: [1] };
  return { kind: 'map', formula: input(0), shape: [from.length], inputs: [view], output: to };
}

/** Whether nothing reads the old values of `target` when, or after, `symbol` is written to it. */
function mayWriteDirectly(
  calls: readonly KernelCall[],
  symbol: Storage,
  target: Storage,
  given: ReadonlyMap<Storage, Storage>,
): boolean {
  const writer = calls.findIndex((call) => writesOf(call).includes(symbol));
  const last = lastReads(calls);
  const sameMemory = (storage: Storage): boolean => given.get(storage) === target;
  for (const [storage, index] of last) if (sameMemory(storage) && index > writer) return false;
  const call = calls[writer]!;
  if (call.kind !== 'map' || call.outputLayout !== undefined) return !readsOf(call).some(sameMemory);
  return call.inputs.every((view) => !sameMemory(view.storage) || readsContiguously(call, view));
}
