/** Samples as words for people, and random secrets as text. */
import { thousands } from '@lockstep/data/shown';
import type { DataSummary, RunConfig } from './record/report.ts';

/** A number of samples, such as `60,000 images`: a shape [height, width, channels] is an image. Of text, its tokens count. */
export function samplesText(count: number, { sampleField, targetField, unit = 'tokens' }: DataSummary): string {
  if (targetField.role === 'next') return `${thousands(count * targetField.positions)} ${unit}`;
  return `${thousands(count)} ${sampleField.shape.length === 3 ? 'images' : 'samples'}`;
}

/** Name of the samples that are evaluated after each epoch: of a text, it is `validation` unless there are others. */
export function heldOutWord({ data, validation }: Pick<RunConfig, 'data' | 'validation'>): 'test' | 'validation' {
  return data.targetField.role === 'next' && !validation ? 'validation' : 'test';
}

/** A random 128-bit secret, as 22 letters, digits, dashes and underscores. */
export function newSecret(): string {
  const base64 = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
