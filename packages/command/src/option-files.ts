/** Files that options name: read and written, or refused in one sentence; files of secrets are private. */
import { closeSync, fchmodSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import {
  checkOutput,
  FileError,
  fileIdentity,
  readRegularFile,
  reasonOf,
  shownPath,
  writeOutput,
} from '@lockstep/data/files';
import * as v from 'valibot';
import { type tlsOptions, token as tokenKind, type tokenOptions } from './common-options.ts';
import type { ValuesOf } from './option.ts';
import { CommandFailure, usageFailure } from './program.ts';

/** Model descriptions and certificates are far smaller. */
const maxOptionFileBytes = 2 ** 20;

/** The text of a regular file. @throws CommandFailure with exit code 2 if it cannot be read */
export function readOptionFile(option: string, file: string): string {
  return new TextDecoder().decode(readOptionBytes(option, file, maxOptionFileBytes));
}

/** The bytes of a regular file. @throws CommandFailure with exit code 2 if it cannot be read or is larger */
export function readOptionBytes(option: string, file: string, maxBytes: number): Uint8Array {
  return orUsageFailure(option, () => readRegularFile(file, maxBytes));
}

/** Like `readOptionBytes`, for a file given without an option. */
export function readInputFile(file: string, maxBytes: number): Uint8Array {
  return orUsageFailure(undefined, () => readRegularFile(file, maxBytes));
}

export function isModelFile(nameOrFile: string): boolean {
  return nameOrFile.endsWith('.json');
}

/** The layer list in a file, or the name of a model. @throws CommandFailure with exit code 2 if it cannot be read */
export function modelText(nameOrFile: string): string {
  return isModelFile(nameOrFile) ? readOptionFile('model', nameOrFile) : nameOrFile;
}

type NamedFiles = Readonly<Record<string, string | undefined>>;

/**
 * Checks output files before the work whose results they store; an omitted option has no file.
 * @param inputs files that the command reads, and must not overwrite
 * @throws CommandFailure with exit code 2 if an output cannot be written, is an input, or two are the same
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
      throw usageFailure(`--${option}: expected a file that no other option uses, but ${other} ${shownPath(file)}`);
    }
    useOf.set(identity, `--${option} writes`);
  }
}

/** @throws CommandFailure with exit code 1 if the file cannot be written; an earlier file is then still intact */
export async function saveFile(file: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeOutput(file, content);
  } catch (error) {
    if (error instanceof FileError) throw new CommandFailure(error.message, 1);
    throw error;
  }
}

/** Like `saveFile`, with indented JSON. */
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

/** TLS settings from the certificate options. @throws CommandFailure with exit code 2 */
export function tlsOf({ tls, 'tls-cert': cert, 'tls-key': key }: ValuesOf<typeof tlsOptions>) {
  if (cert === undefined || key === undefined) return tls;
  return { cert: readOptionFile('tls-cert', cert), key: readOptionFile('tls-key', key) };
}

type TokenValues = ValuesOf<ReturnType<typeof tokenOptions<string>>>;

/** The token of a run; the options take precedence over `LOCKSTEP_TOKEN`. @throws CommandFailure with exit code 2 */
export function tokenFrom({ token, 'token-file': file }: TokenValues, environment: string | undefined) {
  if (file !== undefined) return checkedToken(`--token-file ${file}`, readToken(file));
  if (token !== undefined) return token;
  return environment === undefined || environment === '' ? undefined : checkedToken('LOCKSTEP_TOKEN', environment);
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw usageFailure(`--token-file: expected a file that can be read, got ${file}`);
  }
}

/** The sentence omits the text, which may be a secret. */
function checkedToken(source: string, text: string): string {
  if (v.is(tokenKind.schema, text)) return text;
  throw usageFailure(`${source}: expected ${tokenKind.expected}`);
}

/**
 * Keeps the secrets in addresses out of logs.
 * @param lines the addresses, with secrets
 * @returns lines to print: the same lines, or the name of the file that contains them
 * @throws CommandFailure with exit code 1 if the file cannot be written
 */
export function addressesToPrint(lines: readonly string[], file: string | undefined): readonly string[] {
  if (file === undefined) return lines;
  try {
    writeForOwner(file, `${lines.join('\n')}\n`);
  } catch (error) {
    throw new CommandFailure(`--addresses: could not write ${shownPath(file)}: ${reasonOf(error)}`, 1);
  }
  return [`The addresses for joining and watching are in ${shownPath(file)}.`];
}

function writeForOwner(file: string, text: string): void {
  const descriptor = openSync(file, 'w', 0o600);
  try {
    // An existing file may be readable by others.
    if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, 0o600);
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
