/** MNIST in a thread of the page, from the two files that `scripts/digits.ts` writes. */
import { allDigits, type Digits, type DigitsUse, fewDigits, pixelsPerDigit } from '@lockstep/lesson';

let few: Promise<Digits> | undefined;
let all: Promise<Digits> | undefined;

/**
 * Loads each file only once.
 * @param onBytes called with the number of bytes of each part that arrives, as packed
 * @throws Error if a file is missing or incomplete
 */
export function fetchDigits(use: DigitsUse, onBytes: (bytes: number) => void = () => {}): Promise<Digits> {
  few ??= fetchPacked('digits.packed', fewDigits, onBytes);
  if (use === 'few') return few;
  const rest = { train: allDigits.train - fewDigits.train, test: allDigits.test - fewDigits.test };
  all ??= Promise.all([few, fetchPacked('more-digits.packed', rest, onBytes)]).then(([first, more]) => ({
    train: joined(first.train, more.train),
    test: joined(first.test, more.test),
  }));
  return all;
}

async function fetchPacked(
  file: string,
  counts: Readonly<Record<keyof Digits, number>>,
  onBytes: (bytes: number) => void,
): Promise<Digits> {
  // Scripts are in a folder next to the file. With a name that ends in .gz, the browser would unpack the file itself.
  const response = await fetch(new URL(`../${file}`, location.href));
  if (!response.ok || !response.body)
    throw new Error(`${file}: expected the digits of this page, got ${response.status}`);
  const counting = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(part, controller) {
      onBytes(part.byteLength);
      controller.enqueue(part);
    },
  });
  const unpacked = response.body.pipeThrough(counting).pipeThrough(new DecompressionStream('gzip'));
  const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
  const expected = (counts.train + counts.test) * (pixelsPerDigit + 1);
  if (bytes.length !== expected) throw new Error(`${file}: expected ${expected} bytes, got ${bytes.length}`);
  let offset = 0;
  const take = (length: number): Uint8Array => {
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  const images = (count: number) => ({ pixels: take(count * pixelsPerDigit), labels: Uint16Array.from(take(count)) });
  return { train: images(counts.train), test: images(counts.test) };
}

function joined(first: Digits['train'], rest: Digits['train']): Digits['train'] {
  const pixels = new Uint8Array(first.pixels.length + rest.pixels.length);
  pixels.set(first.pixels);
  pixels.set(rest.pixels, first.pixels.length);
  return { pixels, labels: Uint16Array.from([...first.labels, ...rest.labels]) };
}
