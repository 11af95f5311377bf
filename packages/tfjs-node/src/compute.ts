/** Shards computed by TensorFlow, microbatch by microbatch, and added in the order of the fixed tree. */
import { defaultKey, inputSize, type Model, parameterCount, parseModel, type RandomKey } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { type HostBackend, openBackend, type Storage } from '@lockstep/tensor';
import {
  type Clock,
  type Compute,
  type ComputeSetup,
  type KeptPixels,
  nextPowerOfTwo,
  type ShardGradient,
  TreeSum,
} from '@lockstep/training';
import { type LoadedTensorFlow, loadTensorFlow } from './load.ts';
import { createMicrobatchGradient, type MicrobatchGradient } from './microbatch.ts';

type ComputeClock = Pick<Clock, 'nowMs'>;

/**
 * TensorFlow in the calling thread. Each microbatch is a computation of its own: a shard has the same bits however a step
 * was cut.
 * @param clock measures how long a shard takes
 * @throws Error with one sentence where this machine lacks the library
 */
export async function createTensorFlowCompute(clock: ComputeClock): Promise<Compute> {
  const tensorFlow = await loadTensorFlow();
  const { backend } = await openBackend('auto');
  return new TensorFlowCompute(tensorFlow, backend, clock);
}

class TensorFlowCompute implements Compute {
  readonly backend = 'tfjs-node';
  readonly threads = 1;
  /** Another build of the library or another processor may round in another way; the numerics check shows that. */
  readonly numericMode: string;
  readonly #tensorFlow: LoadedTensorFlow;
  readonly #host: HostBackend;
  readonly #clock: ComputeClock;
  #shards: ShardSum | undefined;

  constructor(tensorFlow: LoadedTensorFlow, host: HostBackend, clock: ComputeClock) {
    this.numericMode = `tfjs-node-${tensorFlow.tf.version['tfjs-node']}/tensorflow-${tensorFlow.version}`;
    this.#tensorFlow = tensorFlow;
    this.#host = host;
    this.#clock = clock;
  }

  async open({ model: data, microbatchSize }: ComputeSetup): Promise<void> {
    await this.close();
    const model = parseModel(data);
    const microbatch = createMicrobatchGradient(this.#tensorFlow.tf, this.#host, model);
    this.#shards = new ShardSum(this.#host, model, microbatchSize, microbatch);
  }

  setWeights(bytes: Uint8Array): void {
    this.#opened().setWeights(floatsFrom(bytes));
  }

  async gradient(
    pixels: Uint8Array | KeptPixels,
    labels: Uint8Array,
    key: RandomKey = defaultKey,
  ): Promise<ShardGradient> {
    const shards = this.#opened();
    if (!(pixels instanceof Uint8Array)) throw new Error('shard: expected pixels, got numbers of cached samples');
    const startedAtMs = this.#clock.nowMs();
    shards.run(pixels, labels, key);
    const values = await this.#host.download(shards.total);
    const parameters = values.length - 2;
    return {
      gradient: new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, parameters * 4),
      lossSum: values[parameters]!,
      correct: values[parameters + 1]!,
      count: labels.length,
      computeMs: this.#clock.nowMs() - startedAtMs,
    };
  }

  async close(): Promise<void> {
    this.#shards?.dispose();
    this.#shards = undefined;
  }

  #opened(): ShardSum {
    if (!this.#shards) throw new Error('compute: expected open() before weights and shards');
    return this.#shards;
  }
}

/** The microbatches of a shard of one model, added in the tree's order. */
class ShardSum {
  /** Gradient of all parameters, then the sum of losses, then how many were correct. */
  readonly total: Storage;
  readonly #host: HostBackend;
  readonly #microbatch: MicrobatchGradient;
  readonly #microbatchSize: number;
  readonly #inputSize: number;
  readonly #sum: TreeSum;

  constructor(host: HostBackend, model: Model, microbatchSize: number, microbatch: MicrobatchGradient) {
    this.total = host.allocate(parameterCount(model) + 2);
    this.#host = host;
    this.#microbatch = microbatch;
    this.#microbatchSize = microbatchSize;
    this.#inputSize = inputSize(model);
    this.#sum = new TreeSum(host, this.total);
  }

  setWeights(weights: Float32Array): void {
    const expected = this.total.length - 2;
    if (weights.length !== expected) throw new Error(`weights: expected ${expected} values, got ${weights.length}`);
    this.#microbatch.setWeights(weights);
  }

  run(pixels: Uint8Array, labels: Uint8Array, key: RandomKey): void {
    const [count, size] = [labels.length, this.#inputSize];
    if (pixels.length !== count * size) {
      throw new Error(`shard: expected ${count * size} pixels, got ${pixels.length}`);
    }
    const microbatches = Math.ceil(count / this.#microbatchSize);
    this.#sum.begin({ lo: 0, n: nextPowerOfTwo(microbatches) }, microbatches);
    for (let index = 0; index < microbatches; index++) {
      const from = index * this.#microbatchSize;
      const to = Math.min(count, from + this.#microbatchSize);
      const buffer = this.#sum.free;
      const microbatchKey = { ...key, firstSample: key.firstSample + from };
      this.#microbatch.run(pixels.subarray(from * size, to * size), labels.subarray(from, to), microbatchKey, buffer);
      this.#sum.add({ lo: index, n: 1 }, buffer);
    }
  }

  dispose(): void {
    this.#microbatch.dispose();
    this.#sum.dispose();
    this.#host.free(this.total);
  }
}
