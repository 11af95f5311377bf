/** Computes shards with TensorFlow, microbatch by microbatch, and adds them in the order of the fixed tree. */

import {
  type Compute,
  type ComputeSetup,
  type GradientOptions,
  type ShardGradient,
  type ShardSamples,
  TreeSum,
} from '@lockstep/compute';
import { classField, sizeOfField, type TargetValues } from '@lockstep/data';
import { defaultKey, parameterCount, parseModel, sampleSize } from '@lockstep/nn';
import { type Clock, floatsFrom } from '@lockstep/protocol';
import { nextPowerOfTwo } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { type LoadedTensorFlow, loadTensorFlow, type TensorFlow } from './load.ts';
import { createTensorFlowGradient, type MicrobatchGradient } from './microbatch.ts';

/**
 * Opens TensorFlow in the calling thread. Each microbatch is computed on its own, so a shard has the same bits however
 * a step is divided.
 * @param clock measures how long a shard takes
 * @throws Error with one sentence if this machine lacks the library
 */
export async function createTensorFlowCompute(clock: Pick<Clock, 'nowMs'>): Promise<Compute> {
  const tensorFlow = await loadTensorFlow();
  const { backend } = await openBackend('auto');
  return new TensorFlowCompute(tensorFlow, backend, clock);
}

/** State of one open model. */
interface Opened {
  readonly microbatchSize: number;
  readonly sampleSize: number;
  /** How many numbers make up one sample's target. */
  readonly targetSize: number;
  readonly microbatch: MicrobatchGradient;
  readonly parameterCount: number;
  /** Adds vectors: the gradient of all parameters, the sum of losses, and the number classified correctly. */
  readonly sum: TreeSum;
}

class TensorFlowCompute implements Compute {
  readonly backend = 'tfjs-node';
  readonly threads = 1;
  /** Another build of the library or another processor may round differently; the numerics check detects that. */
  readonly numericMode: string;
  readonly #tf: TensorFlow;
  readonly #host: HostBackend;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #opened: Opened | undefined;

  constructor({ tf, version }: LoadedTensorFlow, host: HostBackend, clock: Pick<Clock, 'nowMs'>) {
    this.numericMode = `tfjs-node-${tf.version['tfjs-node']}/tensorflow-${version}`;
    this.#tf = tf;
    this.#host = host;
    this.#clock = clock;
  }

  async open({ model: data, microbatchSize, targetField = classField, innerSteps }: ComputeSetup): Promise<void> {
    await this.close();
    if (innerSteps) throw new Error('tfjs-node: expected a run without inner steps, which --backend cpu computes');
    const model = parseModel(data);
    this.#opened = {
      microbatchSize,
      sampleSize: sampleSize(model, targetField),
      targetSize: sizeOfField(targetField),
      microbatch: createTensorFlowGradient(this.#tf, this.#host, model, targetField),
      parameterCount: parameterCount(model),
      sum: new TreeSum(this.#host, parameterCount(model) + 2),
    };
  }

  setWeights(bytes: Uint8Array): void {
    const { parameterCount: expected, microbatch } = this.#expectOpen();
    const weights = floatsFrom(bytes);
    if (weights.length !== expected) throw new Error(`weights: expected ${expected} values, got ${weights.length}`);
    microbatch.setWeights(weights);
  }

  async gradient(
    samples: ShardSamples,
    targets: TargetValues,
    { key = defaultKey, halfUnit }: GradientOptions = {},
  ): Promise<ShardGradient> {
    if (halfUnit !== undefined)
      throw new Error('tfjs-node: expected a run that rounds no sums; --backend cpu computes those that do');
    const {
      microbatchSize,
      sampleSize: size,
      targetSize,
      microbatch,
      sum,
      parameterCount: parameters,
    } = this.#expectOpen();
    if (samples instanceof Uint32Array) throw new Error('shard: expected samples, got numbers of cached ones');
    const startedAtMs = this.#clock.nowMs();
    const count = targetSize > 0 ? targets.length / targetSize : samples.length / size;
    if (samples.length !== count * size) {
      throw new Error(`shard: expected ${count * size} values of samples, got ${samples.length}`);
    }
    const microbatches = Math.ceil(count / microbatchSize);
    sum.begin({ lo: 0, n: nextPowerOfTwo(microbatches) }, microbatches);
    for (let index = 0; index < microbatches; index++) {
      const from = index * microbatchSize;
      const to = Math.min(count, from + microbatchSize);
      const buffer = sum.free;
      const microbatchKey = { ...key, firstSample: key.firstSample + from };
      const ownTargets = targets.subarray(from * targetSize, to * targetSize);
      microbatch.run(samples.subarray(from * size, to * size), ownTargets, microbatchKey, buffer);
      sum.add({ lo: index, n: 1 }, buffer);
    }
    const values = await this.#host.download(sum.vector());
    return {
      gradient: new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, parameters * 4),
      lossSum: values[parameters]!,
      correct: values[parameters + 1]!,
      count,
      computeMs: this.#clock.nowMs() - startedAtMs,
    };
  }

  async close(): Promise<void> {
    if (!this.#opened) return;
    this.#opened.microbatch.dispose();
    this.#opened.sum.dispose();
    this.#opened = undefined;
  }

  #expectOpen(): Opened {
    if (!this.#opened) throw new Error('compute: expected open() before weights and shards');
    return this.#opened;
  }
}
