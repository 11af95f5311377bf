/** Samples, hashes and faults as words for people, and random secrets as text. */
import { errorMessage, thousands } from '@lockstep/data/shown';
import { configurationError, optionName } from '@lockstep/worker';
import type { DataSummary, RunConfig } from './report.ts';

/** A number of samples, such as `60,000 images`: a shape [height, width, channels] is an image. Of text, its tokens count. */
export function samplesText(count: number, { sampleField, targetField, unit = 'tokens' }: DataSummary): string {
  if (targetField.role === 'next') return `${thousands(count * targetField.positions)} ${unit}`;
  return `${thousands(count)} ${sampleField.shape.length === 3 ? 'images' : 'samples'}`;
}

/** Names of a vocabulary's tokens, by its kind. */
export const tokenUnits = { characters: 'characters', merges: 'tokens', words: 'tokens', bytes: 'bytes' } as const;

/** Name of the samples that are evaluated after each epoch: of a text, it is `validation` unless there are others. */
export function heldOutWord({ data, validation }: Pick<RunConfig, 'data' | 'validation'>): 'test' | 'validation' {
  return data.targetField.role === 'next' && !validation ? 'validation' : 'test';
}

/** The first digits of a hash or a key. */
export function shortHash(hash: string): string {
  return `${hash.slice(0, 16)}…`;
}

/** Returns what `work` returns. @throws ConfigurationError that names the option, if `work` throws */
export function namingOption<Result>(option: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw configurationError`${optionName(option)}: ${errorMessage(error)}`;
  }
}

/** A random 128-bit secret, as 22 letters, digits, dashes and underscores. */
export function newSecret(): string {
  const base64 = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
