/** A program and its user: signals, exit codes, failures as one sentence, commands as they are typed, tables. */
import { stripVTControlCharacters } from 'node:util';

import { reasonOf } from '@lockstep/data/files';
import { errorMessage, shownLine } from '@lockstep/data/shown';
import { ConfigurationError, maxMessageLength } from './option.ts';

/** A failure that a user caused or can fix: one sentence and an exit code, never a stack trace. */
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

/** Exit code of a program that a signal has ended. */
export const interruptedCode = 130;

/** From now on, a signal to end aborts the result, instead of ending the process at once. */
export function onInterruption(): AbortSignal {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interruption.abort());
  return interruption.signal;
}

/**
 * Runs a program's main function and sets its exit code. A failure is one sentence on standard error, as is running out
 * of memory. Anything else that is thrown is a defect of Lockstep, and keeps its stack trace.
 * @param nameOf this command line's names for the options of a library's error, whose exit code is 2
 */
export async function runMain(
  program: string,
  main: () => Promise<number>,
  nameOf = (option: string): string => `--${option}`,
): Promise<void> {
  endWithLauncher();
  const output = watchOutput(program);
  try {
    process.exitCode = (await main()) || (output.isLost() ? 1 : 0);
  } catch (error) {
    const failure = failureOf(error, nameOf);
    if (failure) {
      process.stderr.write(`${program}: ${failure.message}\n`);
      process.exitCode = failure.exitCode;
    } else {
      process.stderr.write(`${program}: this is a bug in Lockstep, please report it:\n`);
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

const launcherCheckMs = 250;

/** Ends this program soon after the process that launched it, which cannot forward SIGKILL. */
function endWithLauncher(): void {
  const launcher = process.ppid;
  if (process.env['LOCKSTEP_LAUNCHER'] !== `${launcher}`) return;
  const check = setInterval(() => {
    if (process.ppid === launcher) return;
    clearInterval(check);
    process.kill(process.pid, 'SIGTERM');
  }, launcherCheckMs);
  check.unref();
}

function failureOf(error: unknown, nameOf: (option: string) => string): CommandFailure | undefined {
  if (error instanceof CommandFailure) return error;
  if (error instanceof ConfigurationError) return usageFailure(error.messageWith(nameOf));
  // A supervisor may start the program again if the exit code is 1.
  if (isFleetError(error)) return new CommandFailure(`--${error.option}: ${error.message}`, error.mayPass ? 1 : 2);
  if (!isOutOfMemory(error)) return undefined;
  const advice = 'use a smaller model or batch, or a machine with more memory';
  return new CommandFailure(`out of memory (${errorMessage(error)}): ${advice}`, 1);
}

/** The error of `@lockstep/fleet`, whose option may work later if `mayPass`. */
interface FleetError extends Error {
  readonly option: string;
  readonly mayPass: boolean;
}

/** By its name, since a program that joins no fleet does not load the package. */
function isFleetError(error: unknown): error is FleetError {
  return error instanceof Error && error.name === 'FleetError';
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
      process.stderr.write(`${program}: could not write the output: ${reasonOf(error)}\n`);
    });
  }
  return { isLost: () => isLost };
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A command as a user types it in a shell: with npm in a clone of the repository, otherwise with npx.
 * @param environment its LOCKSTEP_COMMAND, set by `npx lockstep`, says how commands are typed
 */
export function commandText(name: string, args = '', environment: Environment = process.env): string {
  const typed = environment['LOCKSTEP_COMMAND'];
  const command = typed !== undefined ? `${typed} ${name}` : name === 'start' ? 'npm start' : `npm run ${name}`;
  if (args === '') return command;
  return typed !== undefined ? `${command} ${args}` : `${command} -- ${args}`;
}

/** Quotes a word if a shell would change it: zsh expands `?`, and `&` ends a command. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export interface PrintedColumn {
  /** Column title; a table without any begins with its first row. */
  readonly header?: string;
  /** `left`, for text, by default; use `right` for numbers. */
  readonly align?: 'left' | 'right';
}

/** The words of a text in lines of at most `columns` characters, unless a single word is longer; keeps its indent. */
export function wrapText(text: string, columns: number): string[] {
  const indent = ' '.repeat(text.length - text.trimStart().length);
  const lines: string[] = [indent];
  for (const word of text.trimStart().split(' ')) {
    const line = lines.at(-1)!;
    const isEmpty = line.trim() === '';
    if (!isEmpty && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = isEmpty ? line + word : `${line} ${word}`;
  }
  return lines;
}

/**
 * Lines of cells, padded to their column's width and two spaces apart, without a trailing line break.
 * @param rows one cell for each column; a cell may contain ANSI colors, which have no width
 * @param indent precedes each line
 */
export function formatTable(
  columns: readonly PrintedColumn[],
  rows: readonly (readonly string[])[],
  indent = '',
): string {
  const hasHeader = columns.some(({ header }) => header !== undefined);
  const lines = hasHeader ? [columns.map(({ header = '' }) => header), ...rows] : rows;
  for (const { length } of rows) {
    if (length !== columns.length) throw new Error(`table: expected ${columns.length} cells in a row, got ${length}`);
  }
  const widths = columns.map((_, column) => Math.max(0, ...lines.map((cells) => visibleWidth(cells[column]!))));
  const pad = (cell: string, column: number): string => {
    const padding = ' '.repeat(widths[column]! - visibleWidth(cell));
    return columns[column]!.align === 'right' ? padding + cell : cell + padding;
  };
  return lines.map((cells) => `${indent}${cells.map(pad).join('  ')}`.trimEnd()).join('\n');
}

/** Number of characters that a terminal shows, without color codes. */
function visibleWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
