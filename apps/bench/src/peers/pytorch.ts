/** PyTorch on the CPU, one thread, in a Python process of its own that takes its own time. */
import { fileURLToPath } from 'node:url';
import type { Absent, Contender } from '../contender.ts';
import type { MnistStep } from '../work/mnist-step.ts';
import { startChild } from './child.ts';

const script = fileURLToPath(new URL('../../peers/pytorch_step.py', import.meta.url));
export const howToGetPytorch =
  'PyTorch comes with: python3 -m pip install torch --index-url https://download.pytorch.org/whl/cpu';

/** What the script may answer, as its own head says; which of these depends on the request. */
interface Answer {
  readonly absent?: string;
  readonly version?: string;
  readonly notes?: readonly string[];
  readonly ms?: number;
  readonly base64?: string;
}

/** One thread; and no compiled scripts beside their sources. */
export const pythonEnvironment = { OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1' } as const;

/** The work as `pytorch_work.py` reads it: a header with these fields besides its own, then raw bytes. */
export function workChunks(work: MnistStep, fields: Readonly<Record<string, string>>): (string | Uint8Array)[] {
  const { net, batchSize, batches, initial, learningRate } = work;
  const header = {
    ...fields,
    batch: batchSize,
    batches: batches.length,
    learningRate,
    net: net.name,
    shapes: net.shapes,
  };
  return [
    `${JSON.stringify(header)}\n`,
    new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength),
    ...batches.map((batch) => batch.pixels),
    ...batches.map((batch) => batch.labels),
  ];
}

export function floatsOf(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}

/** Eager autograd and torch.optim.SGD; batches lie ready as float32 tensors. */
export async function openPytorchStep(work: MnistStep): Promise<Contender | Absent> {
  const child = startChild('python3', [script], pythonEnvironment);
  const ask = async (...chunks: readonly (string | Uint8Array)[]) => (await child.ask(...chunks)) as Answer;
  const request = (message: { readonly do: 'reset' | 'run' | 'result'; readonly steps?: number }) =>
    ask(`${JSON.stringify(message)}\n`);
  let greeting: Answer;
  try {
    greeting = await ask(...workChunks(work, {}));
  } catch (error) {
    greeting = { absent: error instanceof Error ? error.message : String(error) };
  }
  const { absent, version = 'unknown', notes = [] } = greeting;
  if (absent !== undefined) {
    await child.close();
    return { absent: `${absent}; ${howToGetPytorch}` };
  }
  return {
    version,
    notes,
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
    close: () => child.close(),
  };
}
