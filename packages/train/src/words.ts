/** Figures, samples and errors as words for people. */

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
