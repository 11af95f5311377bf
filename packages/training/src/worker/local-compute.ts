/** Computes blocks in this very thread, several leaves at a time, and adds them in the order of the fixed tree. */
import {
  createBlockGradient,
  createLeafGradient,
  defaultKey,
  inputSize,
  type LabelledPlan,
  layerShapes,
  type Model,
  type PixelRows,
  parameterCount,
  parseModel,
} from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { type Backend, type ByteTable, createByteTable, isHostBackend, type Storage } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import { type Block, blocksOfRange, halvesOf, nextPowerOfTwo } from '../tree.ts';
import { createTreeSum, type TreeSum } from '../tree-sum.ts';
import type { BlockGradient, ComputeSetup, KeepingCompute, KeptPixels } from './compute.ts';

interface Opened {
  readonly model: Model;
  readonly leafSize: number;
  readonly parameters: Storage;
  /** Gradient of all parameters, then the sum of losses, then how many were correct. */
  readonly total: Storage;
  readonly sum: TreeSum;
  /** Most whole leaves that one plan computes. */
  readonly leavesAtOnce: number;
  /** One compiled plan for each number of samples that were computed at once: some whole leaves, or a batch's short last one. */
  readonly plans: Map<number, LabelledPlan>;
}

/** Samples computed at once: so many that what is done once for all weighs little, and what lies between the layers stays in a cache. */
function samplesAtOnce(model: Model): number {
  const values = layerShapes(model).reduce((sum, shape) => sum + shape.reduce((size, length) => size * length, 1), 0);
  return Math.min(512, Math.floor(2 ** 20 / values));
}

/** @param clock only tells how long a block took. */
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
    if (!opened) throw new Error('compute: expected open() before weights and blocks');
    return opened;
  };

  const planFor = ({ plans, model, parameters, leafSize }: Opened, samples: number): LabelledPlan => {
    const known = plans.get(samples);
    if (known) return known;
    const plan =
      samples > leafSize
        ? createBlockGradient(backend, model, { leaves: samples / leafSize, leafSize }, parameters)
        : createLeafGradient(backend, model, samples, parameters);
    plans.set(samples, plan);
    return plan;
  };

  return {
    backend: backend.name,
    arithmetic: backend.arithmetic,
    threads: 1,
    async open({ model: data, leafSize }: ComputeSetup) {
      close();
      const model = parseModel(data);
      const size = parameterCount(model);
      const parameters = backend.allocate(size);
      const total = backend.allocate(size + 2);
      const leavesAtOnce = backend.segments ? Math.max(1, Math.floor(samplesAtOnce(model) / leafSize)) : 1;
      opened = {
        model,
        leafSize,
        parameters,
        total,
        sum: createTreeSum(backend, total),
        leavesAtOnce,
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
    async gradient(pixels, labels, key = defaultKey, into): Promise<BlockGradient> {
      const run = ready();
      const { leafSize, sum, total } = run;
      const startedAtMs = clock.nowMs();
      const count = labels.length;
      const part = partsOf(pixels, count, table);
      const used = Math.ceil(count / leafSize);
      const root = { lo: 0, n: nextPowerOfTwo(used) };
      sum.begin(root, used);
      let result = total;
      for (const block of blocksAtOnce(count, run)) {
        const from = block.lo * leafSize;
        const to = Math.min(count, from + block.n * leafSize);
        const plan = planFor(run, to - from);
        const blockKey = { ...key, firstSample: key.firstSample + from };
        plan.run(part(from, to), labels.subarray(from, to), blockKey);
        if (block.n === root.n) result = plan.output;
        else sum.put(block, plan.output);
      }
      const { gradient, lossSum, correct } = await readTotal(backend, result, into);
      return { gradient, lossSum, correct, count, computeMs: clock.nowMs() - startedAtMs };
    },
    close: async () => close(),
  };
}

/** Gives the pixels of the samples `[from, to)` of a block. */
function partsOf(
  pixels: Uint8Array | KeptPixels,
  count: number,
  table: ByteTable | undefined,
): (from: number, to: number) => Uint8Array | PixelRows {
  if (pixels instanceof Uint8Array) {
    const size = count === 0 ? 0 : pixels.length / count;
    return (from, to) => pixels.subarray(from * size, to * size);
  }
  if (!table) throw new Error('compute: expected keepPixels() before a block of kept samples');
  if (pixels.numbers.length !== count) {
    throw new Error(`compute: expected the numbers of ${count} samples, got ${pixels.numbers.length}`);
  }
  return (from, to) => ({ table, numbers: pixels.numbers.subarray(from, to) });
}

/** The blocks of the tree that are computed one after another: as large as may be, and the short last leaf by itself. */
function blocksAtOnce(samples: number, { leafSize, leavesAtOnce }: Opened): Block[] {
  const whole = Math.floor(samples / leafSize);
  const fitting = (block: Block): Block[] => (block.n <= leavesAtOnce ? [block] : halvesOf(block).flatMap(fitting));
  const blocks = blocksOfRange(0, whole).flatMap(fitting);
  return whole * leafSize < samples ? [...blocks, { lo: whole, n: 1 }] : blocks;
}

async function readTotal(
  backend: Backend,
  total: Storage,
  into: Float32Array | undefined,
): Promise<Pick<BlockGradient, 'gradient' | 'lossSum' | 'correct'>> {
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
