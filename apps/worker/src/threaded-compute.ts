/** Computes shards on threads of their own, which read and add in shared memory; the socket's thread always answers. */
import { defaultKey, inputSize, parameterCount, parseModel } from '@lockstep/nn';
import { prepareProcess } from '@lockstep/tfjs-node';
import type { ComputeChoice } from '@lockstep/train';
import type { KeepingCompute } from '@lockstep/training';
import { ComputeClient } from './compute-client.ts';
import { partsOf, treeOf } from './parts.ts';
import { control, orders, type SharedMemory, type ThreadNews, type ThreadRequest } from './thread-messages.ts';

export interface ThreadedCompute extends KeepingCompute {
  /** One sentence for each backend that was tried before and could not be used. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

/** @throws Error with one sentence where the backend cannot be opened. */
export async function startThreadedCompute(choice: ComputeChoice, threads: number): Promise<ThreadedCompute> {
  if (choice === 'tfjs-node') prepareProcess();
  const crew = createCrew(choice, threads);
  try {
    const [first] = await crew.askAll({ type: 'start' });
    if (first?.type !== 'started') throw new Error('compute: expected a thread that has started');
    const { backend, numericMode, refused, choice: message } = first;
    return { backend, numericMode, refused, choice: message, threads, ...createPool(crew, threads) };
  } catch (error) {
    await crew.close();
    throw error;
  }
}

type Crew = ReturnType<typeof createCrew>;

/** The threads, which wait for orders. */
function createCrew(choice: ComputeChoice, threads: number) {
  const shared = new SharedArrayBuffer(control.length * Int32Array.BYTES_PER_ELEMENT);
  const state = new Int32Array(shared);
  let settle = (_failure?: Error): void => {};
  let isAdded = false;
  let failure: Error | undefined;
  /** Set once a thread has ended: without it no shard will be whole. */
  let gone: Error | undefined;

  const check = (): void => {
    // A failure's sentence may come after the news that all is added.
    if (isAdded && (state[control.failed] === 0 || failure)) settle(failure);
  };
  const listener = {
    onNews(news: ThreadNews): void {
      if (news.type === 'added') isAdded = true;
      else failure ??= new Error(news.message);
      check();
    },
    onGone(error: Error): void {
      gone ??= error;
      settle(error);
    },
  };
  const clients = Array.from(
    { length: threads },
    (_, index) => new ComputeClient({ backend: choice, index, threads, control: shared }, listener),
  );

  const order = (what: number): void => {
    state[control.order] = what;
    Atomics.add(state, control.ticket, 1);
    Atomics.notify(state, control.ticket);
  };

  return {
    state,
    async askAll(request: ThreadRequest) {
      const answers = Promise.all(clients.map((client) => client.request(request)));
      order(orders.listen);
      return answers;
    },
    /** Has the shard computed that lies in the shared memory. */
    async compute(): Promise<void> {
      if (gone) throw gone;
      isAdded = false;
      failure = undefined;
      for (const place of [control.computed, control.added, control.failed]) state[place] = 0;
      const added = new Promise<void>((resolve, reject) => {
        settle = (error) => (error ? reject(error) : resolve());
      });
      order(orders.shard);
      await added;
    },
    async close(): Promise<void> {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}

interface Opened extends SharedMemory {
  readonly microbatchSize: number;
  /** Values of a vector: all parameters, the sum of losses, correct answers. */
  readonly length: number;
}

function createPool(
  crew: Crew,
  threads: number,
): Pick<KeepingCompute, 'open' | 'setWeights' | 'keepPixels' | 'gradient' | 'close'> {
  const { state } = crew;
  let opened: Opened | undefined;
  /** What the threads have been told of. */
  let told: SharedMemory | undefined;

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and shards');
    return opened;
  };

  /** Memory for a shard; what a smaller one left is used again. */
  const makeRoom = async (run: Opened, samples: number, named: boolean): Promise<Opened> => {
    const { used, root } = treeOf(samples, run.microbatchSize);
    const parts = Math.max(1, partsOf(used, root, threads).length);
    const roomy: Opened = {
      ...run,
      labels: atLeast(run.labels, samples),
      pixels: atLeast(run.pixels, named ? 0 : samples * run.sampleBytes),
      numbers: atLeast(run.numbers, named ? samples * Uint32Array.BYTES_PER_ELEMENT : 0),
      parts: atLeast(run.parts, parts * 4 * run.length),
    };
    if (told && isSameMemory(told, roomy)) return run;
    told = roomy;
    await crew.askAll({ type: 'memory', memory: roomy });
    opened = roomy;
    return roomy;
  };

  return {
    async open(setup) {
      const model = parseModel(setup.model);
      const length = parameterCount(model) + 2;
      await crew.askAll({ type: 'open', setup });
      opened = {
        microbatchSize: setup.microbatchSize,
        length,
        weights: new SharedArrayBuffer(4 * (length - 2)),
        pixels: new SharedArrayBuffer(0),
        labels: new SharedArrayBuffer(0),
        kept: new SharedArrayBuffer(0),
        numbers: new SharedArrayBuffer(0),
        sampleBytes: inputSize(model),
        parts: new SharedArrayBuffer(0),
      };
    },
    setWeights(bytes) {
      const { weights } = ready();
      if (bytes.length !== weights.byteLength) {
        throw new Error(`weights: expected ${weights.byteLength} bytes, got ${bytes.length}`);
      }
      // No shard is being computed: the threads read these before the next.
      new Uint8Array(weights).set(bytes);
      state[control.weights]! += 1;
    },
    keepPixels(count, size) {
      const run = ready();
      const { sampleBytes } = run;
      if (size !== sampleBytes)
        throw new Error(`compute: expected samples of ${sampleBytes} pixels, got some of ${size}`);
      const kept = new SharedArrayBuffer(count * sampleBytes);
      opened = { ...run, kept };
      const bytesOf = (number: number): Uint8Array => new Uint8Array(kept, number * sampleBytes, sampleBytes);
      return {
        write(number, pixels) {
          if (pixels.length !== sampleBytes) {
            throw new RangeError(`samples: expected ${sampleBytes} pixels, got ${pixels.length}`);
          }
          bytesOf(number).set(pixels);
        },
        read: (number) => bytesOf(number).slice(),
      };
    },
    async gradient(pixels, labels, key = defaultKey, into) {
      const startedAtMs = performance.now();
      const samples = labels.length;
      const named = !(pixels instanceof Uint8Array);
      const run = await makeRoom(ready(), samples, named);
      if (named) new Uint32Array(run.numbers).set(pixels.numbers);
      else new Uint8Array(run.pixels).set(pixels);
      state[control.named] = Number(named);
      new Uint8Array(run.labels).set(labels);
      state[control.samples] = samples;
      state[control.seed] = key.seed;
      state[control.step] = key.step;
      state[control.firstSampleHigh] = Math.floor(key.firstSample / 2 ** 31);
      state[control.firstSampleLow] = key.firstSample % 2 ** 31;
      await crew.compute();
      const sum = into ?? new Float32Array(run.length);
      sum.set(new Float32Array(run.parts, 0, run.length));
      return {
        gradient: new Uint8Array(sum.buffer, sum.byteOffset, 4 * (run.length - 2)),
        lossSum: sum[run.length - 2]!,
        correct: sum[run.length - 1]!,
        count: samples,
        computeMs: performance.now() - startedAtMs,
      };
    },
    close: () => crew.close(),
  };
}

/** Whether threads that were told of one know the other. */
function isSameMemory(one: SharedMemory, other: SharedMemory): boolean {
  return (['weights', 'pixels', 'labels', 'kept', 'numbers', 'parts'] as const).every((of) => one[of] === other[of]);
}

function atLeast(memory: SharedArrayBuffer, bytes: number): SharedArrayBuffer {
  return memory.byteLength >= bytes ? memory : new SharedArrayBuffer(bytes);
}
