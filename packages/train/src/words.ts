import type { SampleField } from '@lockstep/data';
/** Figures and samples as words for people, and random secrets as text. */

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A shape [height, width, channels] is an image. */
export function samplesWord({ sampleField }: { readonly sampleField: Pick<SampleField, 'shape'> }): string {
  return sampleField.shape.length === 3 ? 'images' : 'samples';
}

/** A random 128-bit secret, as 22 letters, digits, dashes and underscores. */
export function newSecret(): string {
  const base64 = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
