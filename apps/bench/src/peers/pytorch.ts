/** PyTorch on the CPU, alone or under DistributedDataParallel: Python processes that time themselves. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorMessage } from '@lockstep/data/shown';
import { type Absent, type Child, type Implementation, startChild } from '../harness.ts';
import { gptSizes, type Peer, type TrainingStep } from '../work.ts';

const script = fileURLToPath(new URL('../../peers/pytorch_group.py', import.meta.url));
const installation =
  'PyTorch comes with: python3 -m pip install torch --index-url https://download.pytorch.org/whl/cpu';

/** The fields of the script's answers, as its docstring says; which are present depends on the request. */
type Answer = Readonly<Partial<{ absent: string; version: string; ms: number; base64: string }>>;

interface Started {
  readonly ranks: readonly Child[];
  readonly version: string;
  /** The ranks find each other through a file in this folder. */
  readonly folder: string;
}

/** Processes reused for all work, since Python takes seconds to start. They start on first use. */
export class PytorchGroup {
  readonly #size: number;
  #starting: Promise<Started | Absent> | undefined;
  /** The work that the processes have loaded. */
  #loaded: TrainingStep | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  /**
   * @param mode one process of the group computes, or all of them on their shares of each batch, with one thread each;
   * or one process with this number of threads within each operation
   */
  async open(
    work: TrainingStep,
    mode: 'single' | 'ddp' | { readonly threads: number },
  ): Promise<Implementation | Absent> {
    const size = mode === 'ddp' ? this.#size : 1;
    if (work.batchSize % size !== 0) {
      return { absent: `a batch of ${work.batchSize} does not divide among ${size} processes` };
    }
    this.#starting ??= start(this.#size);
    const started = await this.#starting;
    if ('absent' in started) return started;
    if (this.#loaded !== work) {
      this.#loaded = work;
      await askAll(started.ranks, ...workChunks(work));
    }
    const ranks = started.ranks.slice(0, size);
    const threads = typeof mode === 'string' ? 1 : mode.threads;
    const name = typeof mode === 'string' ? mode : 'threads';
    const request = (message: { readonly do: 'reset' | 'run' | 'result'; readonly steps?: number }) =>
      askAll(ranks, `${JSON.stringify({ ...message, mode: name, threads })}\n`);
    const processes = mode === 'ddp' ? `DistributedDataParallel, gloo, ${size} processes` : 'one process';
    return {
      version: started.version,
      notes: [`${processes} of ${threads} thread${threads === 1 ? '' : 's'}`, 'eager, torch.optim.SGD, from float32'],
      async reset() {
        await request({ do: 'reset' });
      },
      run: async (steps) => (await request({ do: 'run', steps })).ms ?? Number.NaN,
      async result() {
        const { base64 = '' } = await request({ do: 'result' });
        return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
      },
    };
  }

  async close(): Promise<void> {
    const started = await this.#starting;
    this.#starting = undefined;
    this.#loaded = undefined;
    if (started !== undefined && !('absent' in started)) await end(started);
  }
}

async function start(size: number): Promise<Started | Absent> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-gloo-'));
  const environment = {
    OMP_NUM_THREADS: '1',
    MKL_NUM_THREADS: '1',
    // Prevents compiled scripts next to their sources.
    PYTHONDONTWRITEBYTECODE: '1',
    // Otherwise gloo resolves the host name of this machine, which fails on some machines.
    GLOO_SOCKET_IFNAME: process.platform === 'darwin' ? 'lo0' : 'lo',
  };
  const ranks = Array.from({ length: size }, (_, rank) =>
    startChild('python3', [script, `${rank}`, `${size}`, join(folder, 'rendezvous')], environment),
  );
  const answer = await askAll(ranks).catch((error: unknown): Answer => ({ absent: errorMessage(error) }));
  const { absent, version = 'unknown' } = answer;
  if (absent === undefined) return { ranks, version, folder };
  await end({ ranks, folder });
  return { absent: `${absent}; ${installation}` };
}

async function end({ ranks, folder }: Pick<Started, 'ranks' | 'folder'>): Promise<void> {
  await Promise.all(ranks.map((rank) => rank.close()));
  await rm(folder, { recursive: true, force: true });
}

/** Asks every rank at once. Returns the first rank's answer. */
async function askAll(ranks: readonly Child[], ...chunks: readonly (string | Uint8Array)[]): Promise<Answer> {
  const answers = await Promise.all(ranks.map((rank) => rank.ask(...chunks)));
  return answers[0] as Answer;
}

/** The work in the format that `pytorch_work.py` reads: a header, then raw bytes. */
function workChunks({ net, batchSize, batches, initial, learningRate }: TrainingStep): (string | Uint8Array)[] {
  const header = { do: 'open', batch: batchSize, batches: batches.length, learningRate };
  return [
    `${JSON.stringify({ ...header, net: net.name, shapes: net.shapes, heads: gptSizes(net).heads })}\n`,
    new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength),
    ...batches.map((batch) => batch.samples),
    ...batches.map((batch) => Uint8Array.from(batch.labels)),
  ];
}

export const pytorchName = 'PyTorch, 1 thread';
/** Processes that DDP trains with. */
export const ddpRanks = 2;
export const ddpName = `PyTorch DDP, ${ddpRanks} processes`;
const cores = availableParallelism();
const group = new PytorchGroup(ddpRanks);

const oneThread = {
  name: pytorchName,
  only: 'compare',
  openStep: (work) => group.open(work, 'single'),
  likeForLike: { kind: 'threads', count: 1, oneThread: pytorchName },
  close: () => group.close(),
} as const satisfies Peer;

const allThreads = {
  name: `PyTorch, ${cores} threads`,
  only: 'compare',
  openStep: (work) => group.open(work, { threads: cores }),
  likeForLike: { kind: 'threads', count: cores, oneThread: pytorchName },
} as const satisfies Peer;

export default [
  {
    name: 'PyTorch CPU',
    only: 'bench',
    async openStep(work) {
      const own = new PytorchGroup(1);
      const opened = await own.open(work, 'single');
      return 'absent' in opened ? opened : { ...opened, close: () => own.close() };
    },
  },
  oneThread,
  ...(cores > 1 ? [allThreads] : []),
  {
    name: ddpName,
    only: 'compare',
    openStep: (work) => group.open(work, 'ddp'),
    likeForLike: { kind: 'processes', count: ddpRanks, oneThread: pytorchName },
  },
] satisfies readonly Peer[];
