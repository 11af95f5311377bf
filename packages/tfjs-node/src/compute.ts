/** Shards computed by TensorFlow, microbatch by microbatch, and added in the order of the fixed tree. */
import { defaultKey, inputSize, type Model, parameterCount, parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { openBackend, type Storage } from '@lockstep/tensor';
import { type Clock, type Compute, nextPowerOfTwo, type ShardGradient, TreeSum } from '@lockstep/training';
import { loadTensorFlow } from './load.ts';
import { createMicrobatchGradient, type MicrobatchGradient } from './microbatch.ts';

interface Opened {
  readonly model: Model;
  readonly microbatchSize: number;
  readonly microbatch: MicrobatchGradient;
  /** Gradient of all parameters, then the sum of losses, then how many were correct. */
  readonly total: Storage;
  readonly sum: TreeSum;
}

/**
 * TensorFlow in this very thread. Each microbatch is a computation of its own, so that a shard has the same bits however a
 * step was cut.
 * @param clock only tells how long a shard took
 * @throws Error with one sentence where this machine lacks the library
 */
export async function createTensorFlowCompute(clock: Pick<Clock, 'nowMs'>): Promise<Compute> {
  const { tf, version } = await loadTensorFlow();
  const { backend: host } = await openBackend('auto');
  let opened: Opened | undefined;

  const close = (): void => {
    if (!opened) return;
    opened.microbatch.dispose();
    opened.sum.dispose();
    host.free(opened.total);
    opened = undefined;
  };

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and shards');
    return opened;
  };

  return {
    backend: 'tfjs-node',
    // Another build of the library may round in another way, and so may another processor; that the numerics check shows.
    numericMode: `tfjs-node-${tf.version['tfjs-node']}/tensorflow-${version}`,
    threads: 1,
    async open({ model: data, microbatchSize }) {
      close();
      const model = parseModel(data);
      const total = host.allocate(parameterCount(model) + 2);
      opened = {
        model,
        microbatchSize,
        microbatch: createMicrobatchGradient(tf, host, model),
        total,
        sum: new TreeSum(host, total),
      };
    },
    setWeights(bytes) {
      const { total, microbatch } = ready();
      const weights = floatsFrom(bytes);
      const expected = total.length - 2;
      if (weights.length !== expected) {
        throw new Error(`weights: expected ${expected} values, got ${weights.length}`);
      }
      microbatch.setWeights(weights);
    },
    async gradient(pixels, labels, { key = defaultKey } = {}): Promise<ShardGradient> {
      const { model, microbatchSize, microbatch, total, sum } = ready();
      if (!(pixels instanceof Uint8Array)) throw new Error('shard: expected pixels, got the numbers of kept ones');
      const startedAtMs = clock.nowMs();
      const count = labels.length;
      const size = inputSize(model);
      if (pixels.length !== count * size) {
        throw new Error(`shard: expected ${count * size} pixels, got ${pixels.length}`);
      }
      const used = Math.ceil(count / microbatchSize);
      sum.begin({ lo: 0, n: nextPowerOfTwo(used) }, used);
      for (let index = 0; index < used; index++) {
        const from = index * microbatchSize;
        const to = Math.min(count, from + microbatchSize);
        const slot = sum.free;
        const microbatchKey = { ...key, firstSample: key.firstSample + from };
        const microbatchPixels = pixels.subarray(from * size, to * size);
        microbatch.run(microbatchPixels, labels.subarray(from, to), microbatchKey, slot);
        sum.add({ lo: index, n: 1 }, slot);
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
