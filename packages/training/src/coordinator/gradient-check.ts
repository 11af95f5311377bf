/** Checks the bulk numbers of a gradient's messages before any of it is used. */
import { type Checksum, chunkChecksum, gradientChecksum, type MessageOf, vectorFault } from '@lockstep/protocol';
import { samplesInShard } from '../plan.ts';
import { announced } from '../vector-chunks.ts';
import type { RunSetup } from './run-setup.ts';

type GradientMessage = MessageOf<'gradient'>;

/** What is wrong with the first message of a gradient, as `gradient: expected …, got …`; undefined where nothing is. */
export function gradientFault(
  message: GradientMessage,
  setup: RunSetup,
  parameterCount: number,
  checksum?: Checksum,
): string | undefined {
  const { chunkBytes } = setup.limits;
  const fault =
    placeFault(message, setup) ??
    valuesFault(message, announced(parameterCount, chunkBytes)) ??
    bytesFault(message, setup, Math.min(parameterCount, chunkBytes / 4)) ??
    countFault(message, setup) ??
    checksumFault(message, gradientChecksum(message, checksum));
  return fault === undefined ? undefined : `gradient: ${fault}`;
}

/** The same for the chunk that brings the values `[at, at + length)`. */
export function chunkFault(
  message: MessageOf<'chunk'>,
  setup: RunSetup,
  { at, length }: { readonly at: number; readonly length: number },
  checksum?: Checksum,
): string | undefined {
  const fault =
    chunkPlaceFault(message, at) ??
    bytesFault(message, setup, length) ??
    checksumFault(message, chunkChecksum(message, checksum));
  return fault === undefined ? undefined : `chunk: ${fault}`;
}

/** What is wrong with the place of a chunk, where the values from `at` on are due. */
export function chunkPlaceFault(message: MessageOf<'chunk'>, at: number): string | undefined {
  return message.at === at ? undefined : `expected the values from ${at} on, got those from ${message.at} on`;
}

function placeFault({ step, lo, n }: GradientMessage, { plan }: RunSetup): string | undefined {
  if (step >= plan.steps) return `expected a step below ${plan.steps}, got ${step}`;
  if (lo + n <= plan.microbatches) return undefined;
  return `expected microbatches below ${plan.microbatches}, got ${lo} to ${lo + n - 1}`;
}

/** What is wrong with the number of values that the first message of a vector announces. */
export function valuesFault(
  { values }: { readonly values?: number },
  expected: { readonly values?: number | undefined },
): string | undefined {
  if (values === expected.values) return undefined;
  const phrase = (count: number | undefined): string =>
    count === undefined ? 'all values in one message' : `${count} values in chunks`;
  return `expected ${phrase(expected.values)}, got ${phrase(values)}`;
}

function bytesFault(
  { bytes, encoding }: Pick<GradientMessage, 'bytes' | 'encoding'>,
  { plan }: RunSetup,
  length: number,
): string | undefined {
  if (encoding === undefined) {
    const expected = length * 4;
    return bytes.length === expected ? undefined : `expected ${expected} bytes, got ${bytes.length}`;
  }
  if (encoding === 'sparse' || plan.halfUnit !== undefined) return vectorFault(bytes, encoding, length);
  return `expected values that are not rounded, got ${encoding}`;
}

function countFault({ step, lo, n, count }: GradientMessage, { plan }: RunSetup): string | undefined {
  const expected = samplesInShard(plan, step, lo, n);
  return count === expected ? undefined : `expected ${expected} samples, got ${count}`;
}

function checksumFault({ checksum }: { readonly checksum?: number }, expected: number): string | undefined {
  return checksum === expected ? undefined : `expected checksum ${expected}, got ${checksum ?? 'none'}`;
}
