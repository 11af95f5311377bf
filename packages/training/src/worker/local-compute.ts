/** Computes blocks in this very thread, leaf by leaf, and adds the leaves in the order of the fixed tree. */
import {
  createLeafGradient,
  defaultKey,
  type LabelledPlan,
  type Model,
  parameterCount,
  parseModel,
} from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import type { Backend, Storage } from '@lockstep/tensor';
import type { Clock } from '../clock.ts';
import { nextPowerOfTwo } from '../tree.ts';
import { createTreeSum, type TreeSum } from '../tree-sum.ts';
import type { BlockGradient, Compute, ComputeSetup } from './compute.ts';

interface Opened {
  readonly model: Model;
  readonly leafSize: number;
  readonly parameters: Storage;
  /** Gradient of all parameters, then the sum of losses, then how many were correct. */
  readonly total: Storage;
  readonly sum: TreeSum;
  /** One compiled plan for each number of samples that a leaf has had: whole leaves, and a batch's last. */
  readonly leaves: Map<number, LabelledPlan>;
}

/** @param clock only tells how long a block took. */
export function createLocalCompute(backend: Backend, clock: Pick<Clock, 'nowMs'>): Compute {
  let opened: Opened | undefined;

  const close = (): void => {
    if (!opened) return;
    for (const leaf of opened.leaves.values()) leaf.dispose();
    opened.sum.dispose();
    backend.free(opened.total);
    backend.free(opened.parameters);
    opened = undefined;
  };

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and blocks');
    return opened;
  };

  const leafPlan = ({ leaves, model, parameters }: Opened, samples: number): LabelledPlan => {
    const known = leaves.get(samples);
    if (known) return known;
    const plan = createLeafGradient(backend, model, samples, parameters);
    leaves.set(samples, plan);
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
      opened = { model, leafSize, parameters, total, sum: createTreeSum(backend, total), leaves: new Map() };
    },
    setWeights(bytes) {
      backend.upload(ready().parameters, floatsFrom(bytes));
    },
    async gradient(pixels, labels, key = defaultKey): Promise<BlockGradient> {
      const run = ready();
      const { leafSize, sum, total } = run;
      const startedAtMs = clock.nowMs();
      const count = labels.length;
      const size = count === 0 ? 0 : pixels.length / count;
      const used = Math.ceil(count / leafSize);
      sum.begin({ lo: 0, n: nextPowerOfTwo(used) }, used);
      for (let leaf = 0; leaf < used; leaf++) {
        const from = leaf * leafSize;
        const to = Math.min(count, from + leafSize);
        const plan = leafPlan(run, to - from);
        const leafKey = { ...key, firstSample: key.firstSample + from };
        plan.run(pixels.subarray(from * size, to * size), labels.subarray(from, to), leafKey);
        sum.put({ lo: leaf, n: 1 }, plan.output);
      }
      const { gradient, lossSum, correct } = await readTotal(backend, total);
      return { gradient, lossSum, correct, count, computeMs: clock.nowMs() - startedAtMs };
    },
    close: async () => close(),
  };
}

async function readTotal(
  backend: Backend,
  total: Storage,
): Promise<Pick<BlockGradient, 'gradient' | 'lossSum' | 'correct'>> {
  const values = await backend.download(total);
  const size = values.length - 2;
  const gradient = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, size * 4);
  return { gradient, lossSum: values[size]!, correct: values[size + 1]! };
}
