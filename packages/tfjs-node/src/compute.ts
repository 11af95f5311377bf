/** Blocks computed by TensorFlow, leaf by leaf, and added in the order of the fixed tree. */
import { defaultKey, inputSize, type Model, parameterCount, parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { openBackend, type Storage } from '@lockstep/tensor';
import {
  type BlockGradient,
  type Clock,
  type Compute,
  createTreeSum,
  nextPowerOfTwo,
  type TreeSum,
} from '@lockstep/training';
import { createLeafGradient, type LeafGradient } from './leaf.ts';
import { loadTensorFlow } from './load.ts';

interface Opened {
  readonly model: Model;
  readonly leafSize: number;
  readonly leaf: LeafGradient;
  /** Gradient of all parameters, then the sum of losses, then how many were correct. */
  readonly total: Storage;
  readonly sum: TreeSum;
}

/**
 * TensorFlow in this very thread. Each leaf is a computation of its own, so that a block has the same bits however a
 * step was cut.
 * @param clock only tells how long a block took
 * @throws Error with one sentence where this machine lacks the library
 */
export async function createTensorFlowCompute(clock: Pick<Clock, 'nowMs'>): Promise<Compute> {
  const { tf, version } = await loadTensorFlow();
  const { backend: host } = await openBackend('auto');
  let opened: Opened | undefined;

  const close = (): void => {
    if (!opened) return;
    opened.leaf.dispose();
    opened.sum.dispose();
    host.free(opened.total);
    opened = undefined;
  };

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and blocks');
    return opened;
  };

  return {
    backend: 'tfjs-node',
    // Another build of the library may round in another way, and so may another processor; that the probe shows.
    arithmetic: `tfjs-node-${tf.version['tfjs-node']}/tensorflow-${version}`,
    threads: 1,
    async open({ model: data, leafSize }) {
      close();
      const model = parseModel(data);
      const total = host.allocate(parameterCount(model) + 2);
      opened = {
        model,
        leafSize,
        leaf: createLeafGradient(tf, host, model),
        total,
        sum: createTreeSum(host, total),
      };
    },
    setWeights(bytes) {
      const { total, leaf } = ready();
      const weights = floatsFrom(bytes);
      const expected = total.length - 2;
      if (weights.length !== expected) {
        throw new Error(`weights: expected ${expected} values, got ${weights.length}`);
      }
      leaf.setWeights(weights);
    },
    async gradient(pixels, labels, key = defaultKey): Promise<BlockGradient> {
      const { model, leafSize, leaf, total, sum } = ready();
      if (!(pixels instanceof Uint8Array)) throw new Error('block: expected pixels, got the numbers of kept ones');
      const startedAtMs = clock.nowMs();
      const count = labels.length;
      const size = inputSize(model);
      if (pixels.length !== count * size) {
        throw new Error(`block: expected ${count * size} pixels, got ${pixels.length}`);
      }
      const used = Math.ceil(count / leafSize);
      sum.begin({ lo: 0, n: nextPowerOfTwo(used) }, used);
      for (let index = 0; index < used; index++) {
        const from = index * leafSize;
        const to = Math.min(count, from + leafSize);
        const slot = sum.free;
        const leafKey = { ...key, firstSample: key.firstSample + from };
        const leafPixels = pixels.subarray(from * size, to * size);
        leaf.run(leafPixels, labels.subarray(from, to), leafKey, slot);
        sum.put({ lo: index, n: 1 }, slot);
      }
      const values = await host.download(total);
      const parameters = values.length - 2;
      return {
        gradient: new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, parameters * 4),
        lossSum: values[parameters]!,
        correct: values[parameters + 1]!,
        count,
        computeMs: clock.nowMs() - startedAtMs,
      };
    },
    close: async () => close(),
  };
}
