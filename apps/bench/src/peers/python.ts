/** Peers in Python: a script of `peers/` in a process, which is slow to start and answers lines of JSON. */
import { fileURLToPath } from 'node:url';
import { errorMessage } from '@lockstep/data/shown';
import { type Absent, startChild } from '../harness.ts';

/** How to get PyTorch; completes the reason why it is absent. */
export const pytorchInstallation =
  'PyTorch comes with: python3 -m pip install torch --index-url https://download.pytorch.org/whl/cpu';

/** The fields of the scripts' answers, as their docstrings say; which are present depends on the request. */
type Answer = Readonly<
  Partial<{ absent: string; version: string; ms: number; base64: string; values: readonly number[] }>
>;

interface PythonOptions {
  /** Completes the reason why the script's libraries are absent. */
  readonly installation: string;
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** A script whose libraries are installed. */
export interface Python {
  /** Version of the libraries. */
  readonly version: string;
  /** Sends a request, and the bytes that belong to it. @throws Error with one sentence if the process ends instead */
  ask(request: object, ...bytes: readonly Uint8Array[]): Promise<Answer>;
  close(): Promise<void>;
}

/** Starts a script; absent, with the reason, if Python or a library of the script is not installed. */
export async function startPython(script: string, options: PythonOptions): Promise<Python | Absent> {
  const { installation, args = [], environment } = options;
  const path = fileURLToPath(new URL(`../../peers/${script}`, import.meta.url));
  const child = startChild('python3', [path, ...args], {
    ...{ OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1', MKL_NUM_THREADS: '1' },
    // Prevents compiled scripts next to their sources.
    PYTHONDONTWRITEBYTECODE: '1',
    ...environment,
  });
  const hello = await child.ask().catch((error: unknown): Answer => ({ absent: errorMessage(error) }));
  const { absent, version = 'unknown' } = hello as Answer;
  if (absent !== undefined) {
    await child.close();
    return { absent: `${absent}; ${installation}` };
  }
  return {
    version,
    ask: async (request, ...bytes) => (await child.ask(`${JSON.stringify(request)}\n`, ...bytes)) as Answer,
    close: child.close,
  };
}

/** The float32 values in an answer. */
export function valuesIn({ base64 = '' }: Answer): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}
