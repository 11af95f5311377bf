/** Predicts with a model file in a page, for the test that compares its scores with Node's. */
import { loadModel } from '../src/browser.ts';

async function scoresOf(file: readonly number[], samples: readonly number[]): Promise<number[][]> {
  const model = await loadModel(Uint8Array.from(file));
  const predictions = await model.predict(Uint8Array.from(samples));
  model.dispose();
  return predictions.map(({ scores }) => [...scores]);
}

Object.assign(globalThis, { scoresOf });
