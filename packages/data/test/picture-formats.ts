/** One file of each format of pictures, and what every decoder must make of it. */
/** Red, green and blue. */
type Color = readonly [number, number, number];

interface PictureFormat {
  readonly name: string;
  readonly bytes: () => Promise<Uint8Array>;
  /** Size and the colors of the first and the last pixel, or why the file is refused. */
  readonly expected:
    | { readonly size: readonly [width: number, height: number]; readonly first: Color; readonly last: Color }
    | string;
  /** Largest difference of a value. */
  readonly tolerance?: number;
}

const red: Color = [200, 30, 40];
const blue: Color = [20, 40, 220];
const white: Color = [255, 255, 255];
const [width, height] = [16, 8];

/** Left half red, right half blue. */
const halves = Uint8Array.from({ length: width * height * 3 }, (_, at) => {
  const color = Math.floor(at / 3) % width < width / 2 ? red : blue;
  return color[at % 3]!;
});

const open = async (
  pixels: Uint8Array | Uint16Array = halves,
  raw: { width: number; height: number; channels: 1 | 3 | 4; pageHeight?: number } = { width, height, channels: 3 },
) => (await import('sharp')).default(pixels, { raw });

const upright = { size: [width, height], first: red, last: blue } as const;
const head =
  (...parts: readonly (string | number)[]) =>
  async () =>
    Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...Buffer.from(part, 'latin1')])));
const refused = (what: string): string => `${what} pictures must be converted first`;

/** Two frames, the first one red and the second one blue. */
async function animation() {
  const frames = Uint8Array.from({ length: 4 * 4 * 2 * 3 }, (_, at) => (at < 4 * 4 * 3 ? red : blue)[at % 3]!);
  return open(frames, { width: 4, height: 8, channels: 3, pageHeight: 4 });
}

export const pictureFormats: readonly PictureFormat[] = [
  { name: 'a PNG', bytes: async () => (await open()).png().toBuffer(), expected: upright },
  {
    name: 'a PNG of 16 bits',
    bytes: async () => {
      const values = Uint16Array.from(halves, (value) => value * 257);
      return (await open(values)).toColourspace('rgb16').png().toBuffer();
    },
    expected: upright,
    tolerance: 1,
  },
  {
    name: 'a gray PNG of 16 bits',
    bytes: async () => {
      const values = new Uint16Array(width * height).fill(100 * 257);
      return (await open(values, { width, height, channels: 1 })).toColourspace('grey16').png().toBuffer();
    },
    expected: { size: [width, height], first: [100, 100, 100], last: [100, 100, 100] },
    tolerance: 1,
  },
  {
    name: 'a PNG with a palette',
    bytes: async () => (await open()).png({ palette: true }).toBuffer(),
    expected: upright,
    tolerance: 8,
  },
  {
    name: 'a PNG with transparent parts',
    bytes: async () => (await open(new Uint8Array(16), { width: 2, height: 2, channels: 4 })).png().toBuffer(),
    expected: { size: [2, 2], first: white, last: white },
  },
  {
    name: 'a JPEG',
    bytes: async () => (await open()).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
    expected: upright,
    tolerance: 8,
  },
  {
    name: 'a JPEG to be turned by a quarter',
    bytes: async () =>
      (await open()).withMetadata({ orientation: 6 }).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
    expected: { size: [height, width], first: red, last: blue },
    tolerance: 8,
  },
  {
    name: 'a JPEG to be mirrored',
    bytes: async () =>
      (await open()).withMetadata({ orientation: 2 }).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }).toBuffer(),
    expected: { size: [width, height], first: blue, last: red },
    tolerance: 8,
  },
  {
    name: 'a JPEG in CMYK',
    bytes: async () => (await open()).toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer(),
    // Inks cannot print every color, and decoders convert them differently.
    expected: upright,
    tolerance: 90,
  },
  {
    name: 'a WebP',
    bytes: async () => (await open()).webp({ lossless: true }).toBuffer(),
    expected: upright,
  },
  {
    name: 'an animated WebP, of which the first frame counts',
    bytes: async () => (await animation()).webp({ lossless: true }).toBuffer(),
    expected: { size: [4, 4], first: red, last: red },
  },
  { name: 'a GIF', bytes: async () => (await open()).gif().toBuffer(), expected: refused('GIF') },
  { name: 'a TIFF', bytes: async () => (await open()).tiff().toBuffer(), expected: refused('TIFF') },
  { name: 'an AVIF', bytes: async () => (await open()).avif().toBuffer(), expected: refused('AVIF') },
  { name: 'a HEIC', bytes: head(0, 0, 0, 24, 'ftypheic', 0, 0, 0, 0), expected: refused('HEIC') },
  { name: 'a BMP', bytes: head('BM', 0, 0, 0, 0), expected: refused('BMP') },
  { name: 'a JPEG XL', bytes: head(0xff, 0x0a, 0, 0), expected: refused('JPEG XL') },
  { name: 'an SVG', bytes: head('<svg xmlns="http://www.w3.org/2000/svg"/>'), expected: refused('SVG') },
  { name: 'an SVG with a prolog', bytes: head('<?xml version="1.0"?><svg/>'), expected: refused('SVG') },
  { name: 'an empty file', bytes: head(), expected: 'it is empty' },
  { name: 'a text', bytes: head('a text'), expected: 'its format is unknown' },
  {
    name: 'half a PNG',
    bytes: async () =>
      (await open())
        .png()
        .toBuffer()
        .then((bytes) => bytes.subarray(0, 50)),
    expected: 'it is damaged',
  },
];

/** A decoder's answer for a file: its size and all pixels, or its error. */
export type Decoded = { readonly size: readonly number[]; readonly pixels: readonly number[] } | string;

/** Differences from what is expected; none if the decoder is right. */
export function formatFaults({ expected, tolerance = 0 }: PictureFormat, decoded: Decoded): string[] {
  if (typeof expected === 'string' || typeof decoded === 'string') {
    return decoded === expected ? [] : [`expected ${JSON.stringify(expected)}, got ${JSON.stringify(decoded)}`];
  }
  const { size, pixels } = decoded;
  const faults = size.join() === expected.size.join() ? [] : [`expected ${expected.size}, got ${size}`];
  for (const [name, color, at] of [
    ['first', expected.first, 0],
    ['last', expected.last, pixels.length - 3],
  ] as const) {
    const got = pixels.slice(at, at + 3);
    const isNear = color.every((value, channel) => Math.abs(value - got[channel]!) <= tolerance);
    if (!isNear) faults.push(`expected ${color} as the ${name} pixel, got ${got}`);
  }
  return faults;
}
