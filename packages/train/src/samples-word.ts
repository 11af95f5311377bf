/** What samples are called. */

/** [height, width, channels] is an image. */
export function samplesWord({ sampleShape }: { readonly sampleShape: readonly number[] }): string {
  return sampleShape.length === 3 ? 'images' : 'samples';
}
