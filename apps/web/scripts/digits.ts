/** Packs MNIST into two files for the page: the first digits, which most chapters of the lesson use, and the rest. */
import { gzipSync } from 'node:zlib';
import { loadMnist } from '@lockstep/data/node';
import { allDigits, fewDigits, labeledImages, pixelsPerDigit } from '@lockstep/lesson';
import type { Plugin } from 'vite';

export function digitsFile(): Plugin {
  return {
    name: 'digits',
    apply: 'build',
    async generateBundle() {
      const { train, test } = await loadMnist();
      const [first, rest] = [
        { train: [0, fewDigits.train], test: [0, fewDigits.test] },
        { train: [fewDigits.train, allDigits.train], test: [fewDigits.test, allDigits.test] },
      ] as const;
      const packed = ({ train: [trainFrom, trainTo], test: [testFrom, testTo] }: typeof first | typeof rest) =>
        gzipSync(
          Buffer.concat([
            ...bytesOf(labeledImages(train), trainFrom, trainTo),
            ...bytesOf(labeledImages(test), testFrom, testTo),
          ]),
        );
      this.emitFile({ type: 'asset', fileName: 'digits.packed', source: packed(first) });
      this.emitFile({ type: 'asset', fileName: 'more-digits.packed', source: packed(rest) });
    },
  };
}

/** Returns pixels and labels of the images `from .. to - 1`. */
function bytesOf({ pixels, labels }: ReturnType<typeof labeledImages>, from: number, to: number): Uint8Array[] {
  return [pixels.subarray(from * pixelsPerDigit, to * pixelsPerDigit), Uint8Array.from(labels.subarray(from, to))];
}
