/** A tiny data set in MNIST's format: 64 images to train on, 16 to test with. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const side = 28;

function idx(magic: number, dimensions: readonly number[], elements: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * dimensions.length));
  header.setUint32(0, magic);
  for (const [axis, dimension] of dimensions.entries()) header.setUint32(4 + 4 * axis, dimension);
  return Buffer.concat([new Uint8Array(header.buffer), elements]);
}

/** Bars: image `i` has a bright column that identifies its class `i % 10`. */
function images(count: number): Uint8Array {
  const pixels = new Uint8Array(count * side * side);
  for (let image = 0; image < count; image++) {
    for (let row = 0; row < side; row++) pixels[image * side * side + row * side + 2 * (image % 10)] = 100 + image;
  }
  return idx(0x0803, [count, side, side], pixels);
}

function labels(count: number): Uint8Array {
  return idx(
    0x0801,
    [count],
    Uint8Array.from({ length: count }, (_, index) => index % 10),
  );
}

/** The four files by name. */
export function tinyFiles({ train = 64, test = 16 } = {}): Map<string, Uint8Array> {
  return new Map([
    ['train-images-idx3-ubyte', images(train)],
    ['train-labels-idx1-ubyte', labels(train)],
    ['t10k-images-idx3-ubyte', images(test)],
    ['t10k-labels-idx1-ubyte', labels(test)],
  ]);
}

/** Writes the files into a new folder, and returns the folder. */
export async function writeFolder(
  parent: string,
  name: string,
  files: ReadonlyMap<string, Uint8Array>,
): Promise<string> {
  const folder = join(parent, name);
  await mkdir(folder, { recursive: true });
  await Promise.all([...files].map(([file, bytes]) => writeFile(join(folder, file), bytes)));
  return folder;
}

/** Options of a run that trains on the data set, with two steps per epoch. */
export async function tinyArgs(parent: string): Promise<string[]> {
  return ['--data', await writeFolder(parent, 'tiny', tinyFiles()), '--batch', '32'];
}
