/** Files that options name: refused in one sentence where they cannot be read or written. */
import { checkOutput, FileError, fileIdentity, readRegularFile, shownPath, writeOutput } from '@lockstep/files';
import { CommandFailure, usageFailure } from './failure.ts';

/** Descriptions of models and certificates are far smaller. */
const maxOptionFileBytes = 2 ** 20;

/** The text of a regular file. @throws CommandFailure with exit code 2 where it cannot be read */
export function readOptionFile(option: string, file: string): string {
  return new TextDecoder().decode(readOptionBytes(option, file, maxOptionFileBytes));
}

/** The bytes of a regular file. @throws CommandFailure with exit code 2 where it cannot be read, or has more */
export function readOptionBytes(option: string, file: string, maxBytes: number): Uint8Array {
  return orUsageFailure(option, () => readRegularFile(file, maxBytes));
}

/** As `readOptionBytes`, of a file that stands on the command line without an option. */
export function readInputFile(file: string, maxBytes: number): Uint8Array {
  return orUsageFailure(undefined, () => readRegularFile(file, maxBytes));
}

type NamedFiles = Readonly<Record<string, string | undefined>>;

/**
 * Checked before the work that the files are to hold; an option that is not given has no file.
 * @param inputs files that the command reads, and that it must not write over
 * @throws CommandFailure with exit code 2 where one could not be written, is an input, or two are the same
 */
export function requireOutputs(outputs: NamedFiles, inputs: NamedFiles = {}): void {
  const useOf = new Map<string, string>();
  for (const [option, file] of Object.entries(inputs)) {
    const identity = file === undefined ? undefined : fileIdentity(file);
    if (identity !== undefined) useOf.set(identity, `--${option} reads`);
  }
  for (const [option, file] of Object.entries(outputs)) {
    if (file === undefined) continue;
    const identity = orUsageFailure(option, () => checkOutput(file));
    if (identity === undefined) continue;
    const other = useOf.get(identity);
    if (other !== undefined) {
      throw usageFailure(`--${option}: expected another file than ${other}, got the same: ${shownPath(file)}`);
    }
    useOf.set(identity, `--${option} writes`);
  }
}

/** @throws CommandFailure with exit code 1 where it cannot be written; a file from before is then still there, whole */
export async function saveFile(file: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeOutput(file, content);
  } catch (error) {
    if (error instanceof FileError) throw new CommandFailure(error.message, 1);
    throw error;
  }
}

/** As `saveFile`, indented JSON. */
export async function saveJson(file: string, content: unknown): Promise<void> {
  await saveFile(file, `${JSON.stringify(content, undefined, 2)}\n`);
}

function orUsageFailure<Value>(option: string | undefined, use: () => Value): Value {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw usageFailure(option === undefined ? error.message : `--${option}: ${error.message}`);
  }
}
