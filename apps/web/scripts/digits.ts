/** The first digits of MNIST as one packed file of the page, on which the lesson trains. */
import { gzipSync } from 'node:zlib';
import { loadMnist } from '@lockstep/data/node';
import { fewestDigits, imageSize, labeledImages } from '@lockstep/lesson';
import type { Plugin } from 'vite';

export function digitsFile(): Plugin {
  return {
    name: 'digits',
    apply: 'build',
    async generateBundle() {
      const { train, test } = await loadMnist();
      const parts = [
        [train, fewestDigits.train],
        [test, fewestDigits.test],
      ] as const;
      const bytes = parts.flatMap(([dataset, count]) => {
        const { pixels, labels } = labeledImages(dataset);
        return [pixels.subarray(0, count * imageSize), Uint8Array.from(labels.subarray(0, count))];
      });
      this.emitFile({ type: 'asset', fileName: 'digits.packed', source: gzipSync(Buffer.concat(bytes)) });
    },
  };
}
