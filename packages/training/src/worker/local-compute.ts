/** Computes shards in this very thread, several microbatches at a time, and adds them in the order of the fixed tree. */
import {
  createMicrobatchGradient,
  createShardGradient,
  defaultKey,
  inputSize,
  type LabeledPlan,
  layerShapes,
  type Model,
  type PixelRows,
  parameterCount,
  parseModel,
} from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { type Backend, type ByteTable, createByteTable, isHostBackend, type Storage } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import { halvesOf, nextPowerOfTwo, type Shard, shardsOfRange } from '../tree.ts';
import { createTreeSum, type TreeSum } from '../tree-sum.ts';
import type { ComputeSetup, KeepingCompute, KeptPixels, ShardGradient } from './compute.ts';

interface Opened {
  readonly model: Model;
  readonly microbatchSize: number;
  readonly parameters: Storage;
  /** Gradient of all parameters, then the sum of losses, then how many were correct. */
  readonly total: Storage;
  readonly sum: TreeSum;
  /** Most whole microbatches that one plan computes. */
  readonly microbatchesAtOnce: number;
  /** One compiled plan for each number of samples that were computed at once: some whole microbatches, or a batch's short last one. */
  readonly plans: Map<number, LabeledPlan>;
}

/** Samples computed at once: so many that what is done once for all weighs little, and what lies between the layers stays in a cache. */
function samplesAtOnce(model: Model): number {
  const values = layerShapes(model).reduce((sum, shape) => sum + shape.reduce((size, length) => size * length, 1), 0);
  return Math.min(512, Math.floor(2 ** 20 / values));
}

/** @param clock only tells how long a shard took. */
export function createLocalCompute(backend: Backend, clock: Pick<Clock, 'nowMs'>): KeepingCompute {
  let opened: Opened | undefined;
  let table: ByteTable | undefined;

  const close = (): void => {
    if (!opened) return;
    for (const plan of opened.plans.values()) plan.dispose();
    opened.sum.dispose();
    backend.free(opened.total);
    backend.free(opened.parameters);
    opened = undefined;
    table?.dispose();
    table = undefined;
  };

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and shards');
    return opened;
  };

  const planFor = ({ plans, model, parameters, microbatchSize }: Opened, samples: number): LabeledPlan => {
    const known = plans.get(samples);
    if (known) return known;
    const plan =
      samples > microbatchSize
        ? createShardGradient(backend, model, { microbatches: samples / microbatchSize, microbatchSize }, parameters)
        : createMicrobatchGradient(backend, model, samples, parameters);
    plans.set(samples, plan);
    return plan;
  };

  return {
    backend: backend.name,
    numericMode: backend.numericMode,
    threads: 1,
    async open({ model: data, microbatchSize }: ComputeSetup) {
      close();
      const model = parseModel(data);
      const size = parameterCount(model);
      const parameters = backend.allocate(size);
      const total = backend.allocate(size + 2);
      const microbatchesAtOnce = backend.microbatchSums
        ? Math.max(1, Math.floor(samplesAtOnce(model) / microbatchSize))
        : 1;
      opened = {
        model,
        microbatchSize,
        parameters,
        total,
        sum: createTreeSum(backend, total),
        microbatchesAtOnce,
        plans: new Map(),
      };
    },
    setWeights(bytes) {
      const { parameters } = ready();
      // Bytes that lie as floats must need no copy before the one into the backend.
      const aligned = bytes.byteOffset % 4 === 0 && bytes.byteLength % 4 === 0;
      backend.upload(
        parameters,
        aligned ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) : floatsFrom(bytes),
      );
    },
    keepPixels(count, size) {
      const expected = inputSize(ready().model);
      if (size !== expected) throw new Error(`compute: expected samples of ${expected} pixels, got some of ${size}`);
      table?.dispose();
      table = undefined;
      table = createByteTable(backend, count, size);
      return table;
    },
    async gradient(pixels, labels, key = defaultKey, into): Promise<ShardGradient> {
      const run = ready();
      const { microbatchSize, sum, total } = run;
      const startedAtMs = clock.nowMs();
      const count = labels.length;
      const part = partsOf(pixels, count, table);
      const used = Math.ceil(count / microbatchSize);
      const root = { lo: 0, n: nextPowerOfTwo(used) };
      sum.begin(root, used);
      let result = total;
      for (const shard of shardsAtOnce(count, run)) {
        const from = shard.lo * microbatchSize;
        const to = Math.min(count, from + shard.n * microbatchSize);
        const plan = planFor(run, to - from);
        const shardKey = { ...key, firstSample: key.firstSample + from };
        plan.run(part(from, to), labels.subarray(from, to), shardKey);
        if (shard.n === root.n) result = plan.output;
        else sum.put(shard, plan.output);
      }
      const { gradient, lossSum, correct } = await readTotal(backend, result, into);
      return { gradient, lossSum, correct, count, computeMs: clock.nowMs() - startedAtMs };
    },
    close: async () => close(),
  };
}

/** Gives the pixels of the samples `[from, to)` of a shard. */
function partsOf(
  pixels: Uint8Array | KeptPixels,
  count: number,
  table: ByteTable | undefined,
): (from: number, to: number) => Uint8Array | PixelRows {
  if (pixels instanceof Uint8Array) {
    const size = count === 0 ? 0 : pixels.length / count;
    return (from, to) => pixels.subarray(from * size, to * size);
  }
  if (!table) throw new Error('compute: expected keepPixels() before a shard of kept samples');
  if (pixels.numbers.length !== count) {
    throw new Error(`compute: expected the numbers of ${count} samples, got ${pixels.numbers.length}`);
  }
  return (from, to) => ({ table, numbers: pixels.numbers.subarray(from, to) });
}

/** The shards of the tree that are computed one after another: as large as may be, and the short last microbatch by itself. */
function shardsAtOnce(samples: number, { microbatchSize, microbatchesAtOnce }: Opened): Shard[] {
  const whole = Math.floor(samples / microbatchSize);
  const fitting = (shard: Shard): Shard[] =>
    shard.n <= microbatchesAtOnce ? [shard] : halvesOf(shard).flatMap(fitting);
  const shards = shardsOfRange(0, whole).flatMap(fitting);
  return whole * microbatchSize < samples ? [...shards, { lo: whole, n: 1 }] : shards;
}

async function readTotal(
  backend: Backend,
  total: Storage,
  into: Float32Array | undefined,
): Promise<Pick<ShardGradient, 'gradient' | 'lossSum' | 'correct'>> {
  const values = await valuesOf(backend, total, into);
  const size = values.length - 2;
  const gradient = new Uint8Array(values.buffer, values.byteOffset, size * 4);
  return { gradient, lossSum: values[size]!, correct: values[size + 1]! };
}

async function valuesOf(backend: Backend, total: Storage, into: Float32Array | undefined): Promise<Float32Array> {
  if (into === undefined || !isHostBackend(backend)) return backend.download(total);
  into.set(backend.view(total));
  return into;
}
