/** Parts of a data set as the four files that a run reads. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Dataset, targetValues } from '@lockstep/data';

/** Writes the first `trainCount` samples for training, and the first `testCount` of the same samples for testing. */
export async function writeMnistFiles(
  { samples, sampleShape, targets }: Dataset,
  { trainCount, testCount }: { readonly trainCount: number; readonly testCount: number },
  folder: string,
): Promise<void> {
  const [rows = 1, columns = 1] = sampleShape;
  const images = Uint8Array.from(samples);
  const labels = Uint8Array.from(targetValues(targets));
  const counts = { train: trainCount, t10k: testCount };
  for (const [part, count] of Object.entries(counts)) {
    const pixels = images.subarray(0, count * rows * columns);
    await writeFile(join(folder, `${part}-images-idx3-ubyte`), [idxHeader(0x803, count, rows, columns), pixels]);
    await writeFile(join(folder, `${part}-labels-idx1-ubyte`), [idxHeader(0x801, count), labels.subarray(0, count)]);
  }
}

function idxHeader(...words: readonly number[]): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 * words.length));
  for (const [index, word] of words.entries()) header.setUint32(4 * index, word);
  return new Uint8Array(header.buffer);
}
