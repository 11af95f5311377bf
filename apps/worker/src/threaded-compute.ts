/** Computes shards on threads that share one memory, so that the socket's thread always answers. */
import { defaultKey, inputSize, parameterCount, parseModel } from '@lockstep/nn';
import { prepareProcess } from '@lockstep/tfjs-node';
import { type ComputeChoice, systemClock } from '@lockstep/train';
import type {
  Compute,
  ComputeSetup,
  GradientOptions,
  PixelCache,
  ShardGradient,
  ShardPixels,
} from '@lockstep/training';
import { partsOf } from './shard-parts.ts';
import { ThreadPool } from './thread-pool.ts';
import { control, type SharedMemory, type Started } from './thread-protocol.ts';

/** @throws Error with one sentence where the backend cannot be opened */
export async function startThreadedCompute(choice: ComputeChoice, threads: number) {
  if (choice === 'tfjs-node') prepareProcess();
  const pool = new ThreadPool(choice, threads);
  try {
    const started = await pool.start();
    return { ...started, compute: new ThreadedCompute(pool, started) };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

interface Opened {
  readonly microbatchSize: number;
  /** Values of a vector: all parameters, the sum of losses, correct answers. */
  readonly length: number;
  memory: SharedMemory;
  /** Whether the threads know `memory` as it is. */
  isShared: boolean;
}

export class ThreadedCompute implements Compute {
  readonly backend: string;
  readonly numericMode: string;
  readonly threads: number;
  readonly #pool: ThreadPool;
  #opened: Opened | undefined;

  constructor(pool: ThreadPool, { backend, numericMode }: Started) {
    this.backend = backend;
    this.numericMode = numericMode;
    this.threads = pool.size;
    this.#pool = pool;
  }

  async open(setup: ComputeSetup): Promise<void> {
    const model = parseModel(setup.model);
    const size = parameterCount(model);
    await this.#pool.execute('open', setup);
    const empty = new SharedArrayBuffer(0);
    this.#opened = {
      microbatchSize: setup.microbatchSize,
      length: size + 2,
      memory: {
        sampleBytes: inputSize(model),
        weights: new SharedArrayBuffer(4 * size),
        pixels: empty,
        labels: empty,
        cache: empty,
        numbers: empty,
        parts: empty,
      },
      isShared: false,
    };
  }

  setWeights(bytes: Uint8Array): void {
    const { weights } = this.#ready().memory;
    if (bytes.length !== weights.byteLength) {
      throw new Error(`weights: expected ${weights.byteLength} bytes, got ${bytes.length}`);
    }
    // No shard is being computed: the threads read these before the next.
    new Uint8Array(weights).set(bytes);
    this.#pool.state[control.weightsVersion]! += 1;
  }

  createPixelCache(count: number, size: number): PixelCache {
    const run = this.#ready();
    const { sampleBytes } = run.memory;
    if (size !== sampleBytes) {
      throw new Error(`compute: expected samples of ${sampleBytes} pixels, got some of ${size}`);
    }
    const cache = new SharedArrayBuffer(count * sampleBytes);
    run.memory = { ...run.memory, cache };
    run.isShared = false;
    return {
      write(number, pixels) {
        if (pixels.length !== sampleBytes) {
          throw new RangeError(`samples: expected ${sampleBytes} pixels, got ${pixels.length}`);
        }
        new Uint8Array(cache, number * sampleBytes, sampleBytes).set(pixels);
      },
    };
  }

  async gradient(
    pixels: ShardPixels,
    labels: Uint8Array,
    { key = defaultKey, into }: GradientOptions = {},
  ): Promise<ShardGradient> {
    const startedAtMs = systemClock.nowMs();
    const run = this.#ready();
    const { state } = this.#pool;
    const isCached = pixels instanceof Uint32Array;
    await this.#ensureMemory(run, labels.length, isCached);
    const { memory, length } = run;
    if (isCached) new Uint32Array(memory.numbers).set(pixels);
    else new Uint8Array(memory.pixels).set(pixels);
    new Uint8Array(memory.labels).set(labels);
    state[control.isCached] = Number(isCached);
    state[control.samples] = labels.length;
    state[control.seed] = key.seed;
    state[control.step] = key.step;
    state[control.firstSampleHigh] = Math.floor(key.firstSample / 2 ** 31);
    state[control.firstSampleLow] = key.firstSample % 2 ** 31;
    await this.#pool.execute('shard');
    const sums = into ?? new Float32Array(length);
    sums.set(new Float32Array(memory.parts, 0, length));
    return {
      gradient: new Uint8Array(sums.buffer, sums.byteOffset, 4 * (length - 2)),
      lossSum: sums[length - 2]!,
      correct: sums[length - 1]!,
      count: labels.length,
      computeMs: systemClock.nowMs() - startedAtMs,
    };
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  #ready(): Opened {
    if (!this.#opened) throw new Error('compute: expected open() before weights and shards');
    return this.#opened;
  }

  /** Grows what is too small for a shard, and tells the threads of new memory. */
  async #ensureMemory(run: Opened, samples: number, isCached: boolean): Promise<void> {
    const { sampleBytes } = run.memory;
    const { parts } = partsOf(samples, run.microbatchSize, this.threads);
    const needed = {
      labels: samples,
      pixels: isCached ? 0 : samples * sampleBytes,
      numbers: isCached ? samples * Uint32Array.BYTES_PER_ELEMENT : 0,
      parts: Math.max(1, parts.length) * 4 * run.length,
    };
    for (const [name, bytes] of Object.entries(needed) as [keyof typeof needed, number][]) {
      if (run.memory[name].byteLength >= bytes) continue;
      run.memory = { ...run.memory, [name]: new SharedArrayBuffer(bytes) };
      run.isShared = false;
    }
    if (run.isShared) return;
    run.isShared = true;
    await this.#pool.execute('memory', run.memory);
  }
}
