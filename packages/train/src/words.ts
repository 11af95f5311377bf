/** Figures, samples and errors as words for people, and random secrets as text. */

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A shape [height, width, channels] is an image. */
export function samplesWord({ sampleShape }: { readonly sampleShape: readonly number[] }): string {
  return sampleShape.length === 3 ? 'images' : 'samples';
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A random 128-bit secret, as 22 letters, digits, dashes and underscores. */
export function newSecret(): string {
  const base64 = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
