/** A page loads a model from its bytes, and gets bit-identical scores to Node. */
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, openBuiltPage } from '@lockstep/chromium';
import { initialize, resolveModel, writeModelFile } from '@lockstep/nn';
import { randomStream } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../src/model.ts';

declare const window: { scoresOf(file: readonly number[], samples: readonly number[]): Promise<number[][]> };

const executablePath = findChromium();
const root = fileURLToPath(new URL('../page/', import.meta.url));

describe.skipIf(!executablePath)(inChromium('loadModel'), { timeout: 300_000 }, () => {
  it('gives the scores of Node, to the bit', async () => {
    const model = resolveModel('cnn');
    const file = writeModelFile(model, initialize(model, 3));
    const random = randomStream(5);
    const samples = Uint8Array.from({ length: 3 * 784 }, () => random() * 256);
    const loaded = await loadModel(file);
    const expected = (await loaded.predict(samples)).map(({ scores }) => [...scores]);
    loaded.dispose();
    const { page, errors, close } = await openBuiltPage({ root, executablePath: executablePath! });
    try {
      const [bytes, pixels] = [[...file], [...samples]];
      const scores = await page.evaluate((given) => window.scoresOf(given.bytes, given.pixels), { bytes, pixels });
      expect(scores).toEqual(expected);
      expect(errors).toEqual([]);
    } finally {
      await close();
    }
  });
});
