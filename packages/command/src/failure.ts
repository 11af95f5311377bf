/** Failures that a user caused or can fix: one sentence and an exit code, never a stack trace. */
import { reasonOf } from '@lockstep/files';
import { shownLine } from '@lockstep/files/shown';

/** Longer than any list of options. */
const maxMessageLength = 4_000;

export class CommandFailure extends Error {
  /** 1: a run failed after it had begun. 2: the request is impossible. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2) {
    super(shownLine(message, maxMessageLength));
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
  }
}

/** An unknown or impossible value on the command line. */
export function usageFailure(message: string): CommandFailure {
  return new CommandFailure(message, 2);
}

/** The message of anything thrown: `catch` does not promise an Error. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Runs a program's main function and sets its exit code. A failure is one sentence on standard error, as is running out
 * of memory. Anything else that is thrown is a defect of Lockstep, and keeps its stack trace.
 * @param usageFault what a library's error says about the command line: one sentence, with exit code 2 unless it is a
 * failure itself
 */
export async function runMain(
  program: string,
  main: () => Promise<number>,
  usageFault: (error: unknown) => string | CommandFailure | undefined = () => undefined,
): Promise<void> {
  const output = watchOutput(program);
  try {
    process.exitCode = (await main()) || (output.isLost() ? 1 : 0);
  } catch (error) {
    const fault = usageFault(error);
    const failure = typeof fault === 'string' ? usageFailure(fault) : (fault ?? error);
    if (failure instanceof CommandFailure) {
      process.stderr.write(`${program}: ${failure.message}\n`);
      process.exitCode = failure.exitCode;
    } else if (isOutOfMemory(error)) {
      const advice = 'use a smaller model or batch, or a machine with more memory';
      process.stderr.write(`${program}: out of memory (${errorMessage(error)}): ${advice}\n`);
      process.exitCode = 1;
    } else {
      process.stderr.write(`${program}: this is a defect of Lockstep, please report it:\n`);
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

/** Engines throw a RangeError without a code if they cannot allocate typed arrays or WebAssembly memory. */
function isOutOfMemory(error: unknown): boolean {
  return error instanceof RangeError && /memory|allocation failed/i.test(error.message);
}

/**
 * A full disk under the output does not stop the work: it gives one sentence, and exit code 1 at the end. It is no
 * failure if the reader of the output ends first, as `head` or a closed terminal does.
 */
function watchOutput(program: string): { readonly isLost: () => boolean } {
  let isLost = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      const isReaderGone = error.code === 'EPIPE' || (error.code === 'EIO' && stream.isTTY);
      if (isReaderGone || isLost) return;
      isLost = true;
      process.exitCode ||= 1;
      if (stream === process.stderr) return;
      process.stderr.write(`${program}: could not write what is printed: ${reasonOf(error)}\n`);
    });
  }
  return { isLost: () => isLost };
}
