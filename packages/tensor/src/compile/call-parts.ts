/** The storages that a call reads and writes, defined once for every pass over recorded calls. */
import type { KernelCall, Storage } from '../backend.ts';

type Fields<Call> = Call extends KernelCall ? keyof Call : never;

/** Fields that hold storages; a map also reads its inputs, a product the bias of its epilogue. */
const fields: {
  readonly [Kind in KernelCall['kind']]: Record<
    'reads' | 'writes',
    readonly Fields<Extract<KernelCall, { kind: Kind }>>[]
  >;
} = {
  map: { reads: [], writes: ['output'] },
  reduce: { reads: ['input'], writes: ['output'] },
  matmul: { reads: ['left', 'right'], writes: ['output'] },
  convolution: { reads: ['left', 'right'], writes: ['output'] },
  pool: { reads: ['input'], writes: ['output', 'argmaxIndices'] },
  unpool: { reads: ['input', 'argmaxIndices'], writes: ['output'] },
  crossEntropy: { reads: ['logits', 'labels'], writes: ['losses', 'gradient'] },
  gather: { reads: ['input', 'indices'], writes: ['output'] },
  scatterAdd: { reads: ['input', 'indices'], writes: ['output'] },
  random: { reads: ['key', 'samples'], writes: ['output'] },
};

/** Returns the call's fields among `names`, with their storages. */
function storagesOf(call: KernelCall, names: readonly string[]): [string, Storage][] {
  const byName = call as unknown as Readonly<Record<string, Storage | undefined>>;
  return names.flatMap((name): [string, Storage][] => {
    const storage = byName[name];
    return storage === undefined ? [] : [[name, storage]];
  });
}

export function readsOf(call: KernelCall): readonly Storage[] {
  if (call.kind === 'map') return call.inputs.map((view) => view.storage);
  const own = storagesOf(call, fields[call.kind].reads).map(([, storage]) => storage);
  const bias = 'epilogue' in call ? call.epilogue?.bias : undefined;
  return bias === undefined ? own : [...own, bias];
}

export function writesOf(call: KernelCall): readonly Storage[] {
  return storagesOf(call, fields[call.kind].writes).map(([, storage]) => storage);
}

/** Returns the same call on other storages. */
export function withStorages(call: KernelCall, replace: (storage: Storage) => Storage): KernelCall {
  const { reads, writes } = fields[call.kind];
  const own = storagesOf(call, [...reads, ...writes]).map(([name, storage]) => [name, replace(storage)]);
  const replaced: KernelCall = { ...call, ...Object.fromEntries(own) };
  if (replaced.kind === 'map') {
    return { ...replaced, inputs: replaced.inputs.map((view) => ({ ...view, storage: replace(view.storage) })) };
  }
  const epilogue = 'epilogue' in replaced ? replaced.epilogue : undefined;
  if (epilogue?.bias === undefined) return replaced;
  return { ...replaced, epilogue: { ...epilogue, bias: replace(epilogue.bias) } } as KernelCall;
}
