/** The part of MNIST that comes with the page (`scripts/digits.ts`). */
import { type Digits, fewestDigits, imageSize } from '@lockstep/lesson';

/** @throws Error where the file is not there, or not whole */
export async function fetchDigits(): Promise<Digits> {
  // Scripts lie in a folder beside it. Its name does not end in .gz, or the server would have the browser unpack it.
  const response = await fetch(new URL('../digits.packed', location.href));
  if (!response.ok || !response.body) throw new Error(`digits: expected the page's digits, got ${response.status}`);
  const unpacked = response.body.pipeThrough(new DecompressionStream('gzip'));
  const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
  const { train, test } = fewestDigits;
  const expected = (train + test) * (imageSize + 1);
  if (bytes.length !== expected) throw new Error(`digits: expected ${expected} bytes, got ${bytes.length}`);
  let offset = 0;
  const take = (length: number): Uint8Array => {
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  const images = (count: number) => ({ pixels: take(count * imageSize), labels: Uint16Array.from(take(count)) });
  return { train: images(train), test: images(test) };
}
