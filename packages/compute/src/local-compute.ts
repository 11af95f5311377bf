/** Computes shards on a backend's threads, yielding to other events between the slices of a long shard. */
import { classField, type SampleValues } from '@lockstep/data';
import { defaultKey, parameterCount, parseModel, type SampleRows, sampleSize } from '@lockstep/nn';
import { bytesOf, type Clock } from '@lockstep/protocol';
import {
  type Backend,
  type ByteTable,
  createByteTable,
  type HostBackend,
  isHostBackend,
  type Storage,
} from '@lockstep/tensor';
import { type Compute, type ComputeSetup, countOf, type ShardGradient, type ShardSamples } from './compute.ts';
import { SlicedGradient } from './sliced-gradient.ts';
import { Pacer } from './turns.ts';
import { uploadFloats } from './vector-memory.ts';

/** State of one open model. */
interface Opened {
  readonly parameters: Storage;
  readonly sliced: SlicedGradient;
  readonly pacer: Pacer | undefined;
}

/** @param clock measures how long a shard takes; shards pause only if the clock can also call back */
export function createLocalCompute(backend: Backend, clock: Clock | Pick<Clock, 'nowMs'>): Compute {
  let opened: Opened | undefined;
  let table: ByteTable | undefined;

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and shards');
    return opened;
  };

  const close = (): void => {
    if (opened) closeModel(backend, opened);
    opened = undefined;
    table?.dispose();
    table = undefined;
  };

  return {
    backend: backend.name,
    numericMode: backend.numericMode,
    threads: backend.threads ?? 1,
    vectorBits: backend.vectorBits,
    codec: isHostBackend(backend) ? backend.codec : undefined,
    async open(setup) {
      close();
      opened = openModel(backend, setup, 'after' in clock ? new Pacer(clock) : undefined);
    },
    setWeights(bytes) {
      uploadFloats(backend, ready().parameters, bytes);
    },
    weightsMemory() {
      return opened && isHostBackend(backend) ? bytesOf(backend.view(opened.parameters)) : undefined;
    },
    createByteCache(count, size) {
      checkSampleSize(size, ready().sliced);
      table?.dispose();
      table = undefined;
      table = createByteTable(backend, count, size);
      return table;
    },
    async gradient(samples, targets, { key = defaultKey, halfUnit, inPlace = false, isCanceled } = {}) {
      const run = ready();
      const { sliced, pacer } = run;
      const startedAtMs = clock.nowMs();
      const count = countOf(samples, targets, sliced.model, sliced.targetField);
      const samplesOf = rangesOf(samples, count, table);
      sliced.begin({ count, samplesOf, targets, key, halfUnit }, pacer?.sliceSamples);
      await advanceTo(count, run, () => isCanceled?.() || opened !== run);
      return resultOf(backend, sliced.vector(), { count, inPlace, elapsedMs: () => clock.nowMs() - startedAtMs });
    },
    async close() {
      close();
    },
  };
}

function openModel(
  backend: Backend,
  { model: data, microbatchSize, targetField = classField, innerSteps }: ComputeSetup,
  pacer: Pacer | undefined,
): Opened {
  const model = parseModel(data);
  const parameters = backend.allocate(parameterCount(model));
  const sliced = new SlicedGradient(backend, { model, microbatchSize, targetField, innerSteps }, parameters);
  return { parameters, sliced, pacer };
}

function closeModel(backend: Backend, { parameters, sliced }: Opened): void {
  sliced.dispose();
  backend.free(parameters);
}

function checkSampleSize(size: number, { model, targetField }: SlicedGradient): void {
  const expected = sampleSize(model, targetField);
  if (size !== expected) throw new Error(`compute: expected samples of ${expected} bytes, got some of ${size}`);
}

/**
 * Computes a shard of `count` samples, in slices with pauses between them.
 * @throws Error if the shard was canceled during a pause
 */
async function advanceTo(count: number, { sliced, pacer }: Opened, isCanceled: () => boolean): Promise<void> {
  pacer?.begin();
  for (let done = 0; done < count; ) {
    const computed = sliced.advance();
    done += computed;
    if (!pacer?.endSlice(computed) || done === count) continue;
    await pacer.pause();
    if (isCanceled()) throw new Error('compute: the shard was canceled');
  }
}

/** @returns a function from `[from, to)` to the values of those samples, in a shard of `count` samples */
function rangesOf(
  samples: ShardSamples,
  count: number,
  table: ByteTable | undefined,
): (from: number, to: number) => SampleValues | SampleRows {
  if (!(samples instanceof Uint32Array)) {
    const size = count === 0 ? 0 : samples.length / count;
    return (from, to) => samples.subarray(from * size, to * size);
  }
  if (!table) throw new Error('compute: expected createByteCache() before a shard of cached samples');
  if (samples.length !== count) {
    throw new Error(`compute: expected the numbers of ${count} samples, got ${samples.length}`);
  }
  return (from, to) => ({ table, numbers: samples.subarray(from, to) });
}

/** Splits a vector [parameters + 2] into gradient, loss sum and number of correct answers. */
function sumsOf(values: Float32Array): Pick<ShardGradient, 'gradient' | 'lossSum' | 'correct'> {
  const size = values.length - 2;
  const gradient = new Uint8Array(values.buffer, values.byteOffset, size * 4);
  return { gradient, lossSum: values[size]!, correct: values[size + 1]! };
}

interface ResultOptions {
  readonly count: number;
  /** Whether the gradient may stay in the backend's memory. */
  readonly inPlace: boolean;
  readonly elapsedMs: () => number;
}

/** Returns the sums in a backend's vector. */
async function resultOf(
  backend: Backend,
  vector: Storage,
  { count, inPlace, elapsedMs }: ResultOptions,
): Promise<ShardGradient> {
  if (inPlace && isHostBackend(backend)) return inMemoryOf(backend, vector, { count, computeMs: elapsedMs() });
  const sums = sumsOf(await backend.download(vector));
  return { ...sums, count, computeMs: elapsedMs() };
}

/** Returns the sums in a backend's vector. `gradient` is read on access, because the backend's memory may move. */
function inMemoryOf(
  backend: HostBackend,
  vector: Storage,
  times: Pick<ShardGradient, 'count' | 'computeMs'>,
): ShardGradient {
  const { lossSum, correct } = sumsOf(backend.view(vector));
  return {
    get gradient() {
      return sumsOf(backend.view(vector)).gradient;
    },
    lossSum,
    correct,
    ...times,
  };
}
