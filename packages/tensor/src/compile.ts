/** Compiles a function of tensors: records it once, simplifies it, lays it out in static memory, runs it many times. */
import { backendKind, callback, checkArgument, checkOptions, type Kind, list, storageKind } from './arguments.ts';
import type { Backend, KernelCall, Storage } from './backend.ts';
import { changeNoter } from './changes.ts';
import { withStorages } from './compile/call-parts.ts';
import { layOut } from './compile/layout.ts';
import { outputTargets, placeOutputs, redirect } from './compile/outputs.ts';
import { type Recording, record } from './compile/recorder.ts';
import { simplify } from './compile/simplify.ts';
import { leaveScopes } from './memory.ts';
import type { Program } from './program.ts';
import { checkShape, type Shape, sizeOf } from './shape.ts';
import { checkTensor, fromStorage, Tensor } from './tensor.ts';

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
