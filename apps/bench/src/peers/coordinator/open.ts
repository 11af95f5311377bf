/** Opens a coordinator under test: one process for the coordinator, one for all its workers. */
import { fileURLToPath } from 'node:url';
import { warmUpSteps } from '../../workloads/coordinator-load.ts';
import { type Child, startChild } from '../child.ts';
import type { Burst, CoordinatorRequest, Listening, WorkersRequest } from './requests.ts';

/** The flags with which the product's commands start Node. */
const engineFlags = ['--no-incremental-marking'];

/** `lockstep`: the product's own coordinator; `bare`: the minimum that moves the same bytes and adds. */
export async function openCoordinator(kind: 'lockstep' | 'bare', workers: number) {
  const [coordinator, workerProgram] = [startProgram(`${kind}-coordinator`), startProgram(`${kind}-workers`)];
  const ask = (request: CoordinatorRequest): Promise<unknown> => coordinator.ask(`${JSON.stringify(request)}\n`);
  const close = async (): Promise<void> => {
    await Promise.all([workerProgram.close(), coordinator.close()]);
  };
  try {
    const { port, version, notes } = (await coordinator.ask()) as Listening;
    const join = `${JSON.stringify({ port, workers } satisfies WorkersRequest)}\n`;
    const burst = async (steps: number): Promise<Burst> => {
      await ask({ do: 'begin', workers, steps, warmUpSteps });
      const [figures] = await Promise.all([ask({ do: 'end' }), workerProgram.ask(join)]);
      return figures as Burst;
    };
    return {
      version,
      notes,
      /** Like `run`, but returns all figures. */
      burst,
      run: async (steps: number) => (await burst(steps)).ms,
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
