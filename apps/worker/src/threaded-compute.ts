/** Computes blocks on threads of their own, so that the socket's thread always answers. */
import { defaultKey, parameterCount, parseModel } from '@lockstep/nn';
import { type Backend, type BackendChoice, openBackend, type Storage } from '@lockstep/tensor';
import {
  type Block,
  type BlockGradient,
  blocksOfRange,
  type Compute,
  createTreeSum,
  nextPowerOfTwo,
  type TreeSum,
} from '@lockstep/training';
import { ComputeClient } from './compute-client.ts';

export interface ThreadedCompute extends Compute {
  /** One sentence for each backend that was tried before and could not be used. */
  readonly refused: readonly string[];
}

interface Opened {
  readonly leafSize: number;
  readonly weights: SharedArrayBuffer;
  readonly total: Storage;
  readonly sum: TreeSum;
}

/** @throws Error with one sentence where the backend cannot be opened. */
export async function startThreadedCompute(choice: BackendChoice, threads: number): Promise<ThreadedCompute> {
  const clients = Array.from({ length: threads }, () => new ComputeClient({ backend: choice }));
  const closeAll = async (): Promise<void> => {
    await Promise.all(clients.map((client) => client.close()));
  };
  try {
    const started = await Promise.all(clients.map((client) => client.request({ type: 'start' })));
    const first = started[0]!;
    // Adding is the same to the bit on every host backend; this one adds what several threads computed.
    const { backend: adder } = await openBackend('auto');
    return { ...first, ...createPool(clients, adder, first), close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function createPool(
  clients: readonly ComputeClient[],
  adder: Backend,
  { backend, arithmetic }: { readonly backend: string; readonly arithmetic: string },
): Omit<Compute, 'close'> {
  let opened: Opened | undefined;
  let weightsSet: Promise<unknown> = Promise.resolve();

  const closeRun = (): void => {
    opened?.sum.dispose();
    if (opened) adder.free(opened.total);
    opened = undefined;
  };

  const ready = (): Opened => {
    if (!opened) throw new Error('compute: expected open() before weights and blocks');
    return opened;
  };

  return {
    backend,
    arithmetic,
    threads: clients.length,
    async open(setup) {
      closeRun();
      await Promise.all(clients.map((client) => client.request({ type: 'open', setup })));
      const size = parameterCount(parseModel(setup.model));
      const total = adder.allocate(size + 2);
      const weights = new SharedArrayBuffer(size * 4);
      opened = { leafSize: setup.leafSize, weights, total, sum: createTreeSum(adder, total) };
    },
    setWeights(bytes) {
      const { weights: shared } = ready();
      if (bytes.length !== shared.byteLength) {
        throw new Error(`weights: expected ${shared.byteLength} bytes, got ${bytes.length}`);
      }
      // A thread may still be reading older weights; it reads these again, whole, before its next block.
      new Uint8Array(shared).set(bytes);
      weightsSet = Promise.all(clients.map((client) => client.request({ type: 'weights', shared })));
      // A failure is thrown where the weights are used.
      weightsSet.catch(() => {});
    },
    async gradient(pixels, labels, key = defaultKey) {
      const run = ready();
      await weightsSet;
      const used = Math.ceil(labels.length / run.leafSize);
      const parts = partsOf(used, clients.length);
      if (parts.length < 2) return (await clients[0]!.request({ type: 'gradient', pixels, labels, key })).result;

      const size = pixels.length / labels.length;
      const results = await Promise.all(
        parts.map(async ({ block, client }) => {
          const from = block.lo * run.leafSize;
          const to = Math.min(labels.length, (block.lo + block.n) * run.leafSize);
          const request = {
            type: 'gradient',
            pixels: pixels.slice(from * size, to * size),
            labels: labels.slice(from, to),
            key: { ...key, firstSample: key.firstSample + from },
          } as const;
          return { block, result: (await clients[client]!.request(request)).result };
        }),
      );
      return addParts(adder, run, used, results);
    },
  };
}

interface Part {
  readonly block: Block;
  readonly client: number;
}

/** Cuts the leaves of a block into blocks of its tree, a contiguous share for each thread. */
function partsOf(leaves: number, threads: number): Part[] {
  return Array.from({ length: threads }, (_, client) => {
    const from = Math.round((leaves * client) / threads);
    const to = Math.round((leaves * (client + 1)) / threads);
    return blocksOfRange(from, to).map((block) => ({ block, client }));
  }).flat();
}

async function addParts(
  adder: Backend,
  { sum, total }: Opened,
  used: number,
  parts: readonly { readonly block: Block; readonly result: BlockGradient }[],
): Promise<BlockGradient> {
  const startedAtMs = performance.now();
  sum.begin({ lo: 0, n: nextPowerOfTwo(used) }, used);
  for (const { block, result } of parts) {
    const slot = sum.free;
    const values = new Float32Array(slot.length);
    new Uint8Array(values.buffer).set(result.gradient);
    values[slot.length - 2] = result.lossSum;
    values[slot.length - 1] = result.correct;
    adder.upload(slot, values);
    sum.put(block, slot);
  }
  const values = await adder.download(total);
  const size = values.length - 2;
  const slowestMs = Math.max(...parts.map(({ result }) => result.computeMs));
  return {
    gradient: new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, size * 4),
    lossSum: values[size]!,
    correct: values[size + 1]!,
    count: parts.reduce((count, { result }) => count + result.count, 0),
    computeMs: slowestMs + performance.now() - startedAtMs,
  };
}
