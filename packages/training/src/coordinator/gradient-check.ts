/** Checks the bulk numbers of a gradient message before any of it is used. */
import { type Checksum, gradientChecksum, type MessageOf, vectorFault } from '@lockstep/protocol';
import { samplesInShard } from '../plan.ts';
import type { RunSetup } from './state.ts';

type GradientMessage = MessageOf<'gradient'>;

/** What is wrong with a gradient for this run, as `gradient: expected …, got …`; undefined where nothing is. */
export function gradientFault(
  message: GradientMessage,
  setup: RunSetup,
  parameterCount: number,
  checksum: Checksum,
): string | undefined {
  const fault =
    placeFault(message, setup) ??
    bytesFault(message, setup, parameterCount) ??
    countFault(message, setup) ??
    checksumFault(message, checksum);
  return fault === undefined ? undefined : `gradient: ${fault}`;
}

function placeFault({ step, lo, n }: GradientMessage, { plan }: RunSetup): string | undefined {
  if (step >= plan.steps) return `expected a step below ${plan.steps}, got ${step}`;
  if (lo + n <= plan.microbatches) return undefined;
  return `expected microbatches below ${plan.microbatches}, got ${lo} to ${lo + n - 1}`;
}

function bytesFault(
  { bytes, encoding }: GradientMessage,
  { gradients }: RunSetup,
  parameterCount: number,
): string | undefined {
  if (encoding === undefined) {
    const expected = parameterCount * 4;
    return bytes.length === expected ? undefined : `expected ${expected} bytes, got ${bytes.length}`;
  }
  if (encoding === 'sparse' || encoding === gradients) return vectorFault(bytes, encoding, parameterCount);
  return `expected values ${gradients === undefined ? 'that are not rounded' : `as ${gradients}`}, got ${encoding}`;
}

function countFault({ step, lo, n, count }: GradientMessage, { plan }: RunSetup): string | undefined {
  const expected = samplesInShard(plan, step, lo, n);
  return count === expected ? undefined : `expected ${expected} samples, got ${count}`;
}

function checksumFault(message: GradientMessage, checksum: Checksum): string | undefined {
  const expected = gradientChecksum(checksum, message);
  return message.checksum === expected ? undefined : `expected checksum ${expected}, got ${message.checksum}`;
}
