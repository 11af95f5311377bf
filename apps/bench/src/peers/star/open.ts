/** Opens a star: one process for the coordinator, one that holds all its workers. */
import { fileURLToPath } from 'node:url';
import type { Contender } from '../../contender.ts';
import { starWarmUpSteps } from '../../work/star.ts';
import { type Child, startChild } from '../child.ts';
import type { Burst, CoordinatorRequest, WorkersRequest } from './requests.ts';

export type StarKind = 'lockstep' | 'bare';

export interface Star extends Contender {
  /** What the last burst took. */
  readonly last: Burst | undefined;
}

/** As the product's commands start Node. */
const engineFlags = ['--no-incremental-marking'];

export async function openStar(kind: StarKind, workers: number): Promise<Star> {
  const coordinator = startProgram(`${kind}-coordinator`);
  const room = startProgram(`${kind}-workers`);
  const ask = (request: CoordinatorRequest): Promise<unknown> => coordinator.ask(`${JSON.stringify(request)}\n`);
  let last: Burst | undefined;
  const close = async (): Promise<void> => {
    await Promise.all([room.close(), coordinator.close()]);
  };
  try {
    const greeting = (await ask({ do: 'listen' })) as { port: number; version: string; notes: readonly string[] };
    const { port, version, notes } = greeting;
    return {
      version,
      notes,
      get last() {
        return last;
      },
      async reset() {},
      async run(steps) {
        await ask({ do: 'begin', workers, steps, warmUpSteps: starWarmUpSteps });
        const request: WorkersRequest = { do: 'join', port, workers };
        const [burst] = await Promise.all([ask({ do: 'end' }), room.ask(`${JSON.stringify(request)}\n`)]);
        last = burst as Burst;
        return last.ms;
      },
      async result() {
        const { base64 } = (await ask({ do: 'result' })) as { base64: string };
        return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function startProgram(name: string): Child {
  const program = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return startChild(process.execPath, [...engineFlags, program], {});
}
