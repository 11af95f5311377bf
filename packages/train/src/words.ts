/** Samples as words for people, and random secrets as text. */
import type { SampleField } from '@lockstep/data';

/** A shape [height, width, channels] is an image. */
export function samplesWord({ sampleField }: { readonly sampleField: Pick<SampleField, 'shape'> }): string {
  return sampleField.shape.length === 3 ? 'images' : 'samples';
}

/** A random 128-bit secret, as 22 letters, digits, dashes and underscores. */
export function newSecret(): string {
  const base64 = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
