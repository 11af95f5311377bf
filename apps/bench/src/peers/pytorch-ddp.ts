/** PyTorch alone and under DistributedDataParallel: a group of Python processes joined by gloo, one thread each. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Absent, Contender } from '../contender.ts';
import type { MnistStep } from '../work/mnist-step.ts';
import { type Child, startChild } from './child.ts';
import { floatsOf, howToGetPytorch, pythonEnvironment, workChunks } from './pytorch.ts';

const script = fileURLToPath(new URL('../../peers/pytorch_ddp.py', import.meta.url));

/** What the script may answer, as its own head says; which of these depends on the request. */
interface Answer {
  readonly absent?: string;
  readonly version?: string;
  readonly ms?: number;
  readonly base64?: string;
}

/** Whether one process of the group computes, or all of them on their shares of each batch. */
export type PytorchCrew = 'alone' | 'together';

/** Processes that stay for one work after another, since Python takes seconds to begin. */
export interface PytorchGroup {
  open(work: MnistStep, crew: PytorchCrew): Promise<Contender | Absent>;
  close(): Promise<void>;
}

interface Started {
  readonly children: readonly Child[];
  readonly version: string;
  readonly folder: string;
}

/** Starts with the first work that is opened. */
export function pytorchGroup(ranks: number): PytorchGroup {
  let starting: Promise<Started | Absent> | undefined;
  /** What the processes hold at the moment. */
  let held: MnistStep | undefined;

  const askAll = async (children: readonly Child[], ...chunks: readonly (string | Uint8Array)[]): Promise<Answer> => {
    const [first] = await Promise.all(children.map((child) => child.ask(...chunks) as Promise<Answer>));
    return first ?? {};
  };

  return {
    async open(work, crew) {
      if (crew === 'together' && work.batchSize % ranks !== 0) {
        return { absent: `a batch of ${work.batchSize} does not divide among ${ranks} processes` };
      }
      starting ??= start(ranks);
      const started = await starting;
      if ('absent' in started) return started;
      const { children, version } = started;
      if (held !== work) {
        held = work;
        await askAll(children, ...workChunks(work, { do: 'open' }));
      }
      const crewChildren = crew === 'together' ? children : children.slice(0, 1);
      const request = (message: { readonly do: 'reset' | 'run' | 'result'; readonly steps?: number }) =>
        askAll(crewChildren, `${JSON.stringify({ ...message, who: crew })}\n`);
      const who = crew === 'together' ? `DistributedDataParallel, gloo, ${ranks} processes` : 'one process';
      return {
        version,
        notes: [`${who} of 1 thread`, 'eager, torch.optim.SGD, from float32'],
        async reset() {
          await request({ do: 'reset' });
        },
        async run(steps) {
          const { ms = Number.NaN } = await request({ do: 'run', steps });
          return ms;
        },
        async result() {
          const { base64 = '' } = await request({ do: 'result' });
          return floatsOf(base64);
        },
        // The processes stay, for the next work.
        async close() {},
      };
    },
    async close() {
      const started = await starting;
      starting = undefined;
      held = undefined;
      if (started === undefined || 'absent' in started) return;
      await Promise.all(started.children.map((child) => child.close()));
      await rm(started.folder, { recursive: true, force: true });
    },
  };
}

async function start(ranks: number): Promise<Started | Absent> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-gloo-'));
  // Else gloo asks for the address of this machine's name, which not every machine knows.
  const loopback = process.platform === 'darwin' ? 'lo0' : 'lo';
  const environment = { ...pythonEnvironment, GLOO_SOCKET_IFNAME: loopback };
  const children = Array.from({ length: ranks }, (_, rank) =>
    startChild('python3', [script, `${rank}`, `${ranks}`, join(folder, 'meeting')], environment),
  );
  let absent: string | undefined;
  let version = 'unknown';
  try {
    for (const answer of (await Promise.all(children.map((child) => child.ask()))) as Answer[]) {
      absent ??= answer.absent;
      version = answer.version ?? version;
    }
  } catch (error) {
    absent = error instanceof Error ? error.message : String(error);
  }
  if (absent === undefined) return { children, version, folder };
  await Promise.all(children.map((child) => child.close()));
  await rm(folder, { recursive: true, force: true });
  return { absent: `${absent}; ${howToGetPytorch}` };
}
