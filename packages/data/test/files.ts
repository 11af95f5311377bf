/** Builds small IDX files. */

/** Builds an IDX file of images; by default, pixels count up from 0. */
export function imagesFile(count: number, rows: number, columns: number, pixels?: Uint8Array): Uint8Array {
  const elements = pixels ?? Uint8Array.from({ length: count * rows * columns }, (_, index) => index % 256);
  return Uint8Array.of(
    ...bigEndian(0x803),
    ...bigEndian(count),
    ...bigEndian(rows),
    ...bigEndian(columns),
    ...elements,
  );
}

/** Builds an IDX file of color images, with four dimensions. */
export function colorImagesFile(...dimensions: readonly [number, number, number, number]): Uint8Array {
  const count = dimensions.reduce((product, length) => product * length, 1);
  const elements = Uint8Array.from({ length: count }, (_, index) => index % 256);
  return Uint8Array.of(...bigEndian(0x804), ...dimensions.flatMap(bigEndian), ...elements);
}

export function labelsFile(labels: readonly number[]): Uint8Array {
  return Uint8Array.of(...bigEndian(0x801), ...bigEndian(labels.length), ...labels);
}

const bigEndian = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
