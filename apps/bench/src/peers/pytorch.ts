/** PyTorch on the CPU, alone or under DistributedDataParallel: Python processes that time themselves. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { plural } from '@lockstep/data/shown';
import type { Absent, Implementation } from '../harness.ts';
import { gptSizes, type Peer, type TrainingStep } from '../work.ts';
import { type Python, pytorchInstallation, startPython, valuesIn } from './python.ts';

interface Started {
  readonly ranks: readonly Python[];
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
      const [header, bytes] = messageOf(work);
      await Promise.all(started.ranks.map((rank) => rank.ask(header, ...bytes)));
    }
    const ranks = started.ranks.slice(0, size);
    const threads = typeof mode === 'string' ? 1 : mode.threads;
    const name = typeof mode === 'string' ? mode : 'threads';
    /** Asks every rank at once. Returns the first rank's answer. */
    const request = async (message: { readonly do: 'reset' | 'run' | 'result'; readonly steps?: number }) => {
      const answers = await Promise.all(ranks.map((rank) => rank.ask({ ...message, mode: name, threads })));
      return answers[0]!;
    };
    const processes = mode === 'ddp' ? `DistributedDataParallel, gloo, ${size} processes` : 'one process';
    return {
      version: started.version,
      notes: [`${processes} of ${plural(threads, 'thread')}`, 'eager, torch.optim.SGD, from float32'],
      async reset() {
        await request({ do: 'reset' });
      },
      run: async (steps) => (await request({ do: 'run', steps })).ms ?? Number.NaN,
      result: async () => valuesIn(await request({ do: 'result' })),
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
  // Otherwise gloo resolves the host name of this machine, which fails on some machines.
  const environment = { GLOO_SOCKET_IFNAME: process.platform === 'darwin' ? 'lo0' : 'lo' };
  const started = await Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const args = [`${rank}`, `${size}`, join(folder, 'rendezvous')];
      return startPython('pytorch_group.py', { installation: pytorchInstallation, args, environment });
    }),
  );
  const ranks = started.filter((rank): rank is Python => 'ask' in rank);
  const absent = started.find((rank) => 'absent' in rank);
  if (absent === undefined) return { ranks, version: ranks[0]!.version, folder };
  await end({ ranks, folder });
  return absent;
}

async function end({ ranks, folder }: Pick<Started, 'ranks' | 'folder'>): Promise<void> {
  await Promise.all(ranks.map((rank) => rank.close()));
  await rm(folder, { recursive: true, force: true });
}

/** The work in the format that `pytorch_work.py` reads: a header, then raw bytes. */
function messageOf({ net, batchSize, batches, initial, learningRate }: TrainingStep) {
  const { name, shapes } = net;
  const sizes = { batch: batchSize, batches: batches.length, shapes, heads: gptSizes(net).heads };
  const bytes = [
    new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength),
    ...batches.map((batch) => batch.samples),
    ...batches.map((batch) => Uint8Array.from(batch.labels)),
  ];
  return [{ do: 'open', learningRate, net: name, ...sizes }, bytes] as const;
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
