/** Augmentations: what each does to a picture, and that nothing else decides. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scaledField, valueField } from '../src/dataset.ts';
import { type Augmentation, augmentations, createAugmenter } from '../src/pictures/augment.ts';

const [height, width] = [20, 30];
const gray = scaledField([height, width, 1]);
/** A smooth picture, so that a value tells its place: brighter to the right, and more so to the bottom. */
const smooth = Uint8Array.from(
  { length: height * width },
  (_, at) => 40 + 2 * (at % width) + 5 * Math.floor(at / width),
);

function augmented(names: readonly Augmentation[], number: number, epoch = 0, seed = 1): Uint8Array {
  const picture = smooth.slice();
  createAugmenter(gray, names, seed)(picture, Uint32Array.of(number), epoch);
  return picture;
}

const every = (names: readonly Augmentation[]) => Array.from({ length: 200 }, (_, number) => augmented(names, number));
const rowOf = (picture: Uint8Array, row: number) => [...picture.subarray(row * width, (row + 1) * width)];

describe('an augmentation', () => {
  it('flip mirrors half of the pictures', () => {
    const mirrored = Uint8Array.from(Array.from({ length: height }, (_, row) => rowOf(smooth, row).reverse()).flat());
    const kinds = every(['flip']).map((picture) =>
      [smooth, mirrored].findIndex((kind) => kind.join() === picture.join()),
    );
    expect(new Set(kinds)).toEqual(new Set([0, 1]));
    expect(Math.abs(kinds.filter((kind) => kind === 1).length - 100)).toBeLessThan(30);
  });

  it('shift moves by whole pixels, up to a tenth of each side, and repeats the edge', () => {
    const shifts = every(['shift']).map((picture) => {
      // The middle has not come from an edge.
      const moved = picture[10 * width + 15]! - smooth[10 * width + 15]!;
      const across = (picture[10 * width + 15]! - rowOf(picture, 9)[15]! - 5) / 2;
      expect(across).toBe(0);
      return moved;
    });
    const possible = new Set<number>();
    for (let x = -3; x <= 3; x += 1) for (let y = -2; y <= 2; y += 1) possible.add(2 * x + 5 * y);
    expect(new Set(shifts)).toEqual(possible);
  });

  it('rotate keeps the center, and moves corners by at most 10 degrees', () => {
    for (const picture of every(['rotate'])) {
      const center = (values: Uint8Array) => values[9 * width + 14]! + values[10 * width + 15]!;
      expect(Math.abs(center(picture) - center(smooth))).toBeLessThanOrEqual(3);
      // At 10°, the middle of the right edge moves by 15 * sin(10°) rows, of 5 levels each.
      expect(Math.abs(picture[10 * width + 29]! - smooth[10 * width + 29]!)).toBeLessThanOrEqual(15);
    }
    expect(new Set(every(['rotate']).map((picture) => picture.join())).size).toBeGreaterThan(100);
  });

  it('zoom scales around the center by up to a tenth', () => {
    for (const picture of every(['zoom'])) {
      const [left, right] = [picture[10 * width + 5]!, picture[10 * width + 24]!];
      const factor = (smooth[10 * width + 24]! - smooth[10 * width + 5]!) / (right - left);
      expect(Math.abs(factor - 1)).toBeLessThanOrEqual(0.14);
    }
  });

  it('brightness multiplies all pixels alike', () => {
    const factors = every(['brightness']).map((picture) => picture[299]! / smooth[299]!);
    expect([Math.min(...factors) > 0.78, Math.max(...factors) < 1.22]).toEqual([true, true]);
    expect([Math.min(...factors) < 0.85, Math.max(...factors) > 1.15]).toEqual([true, true]);
  });
});

describe('all of them', () => {
  it('depend on seed, epoch and number alone, and not on which pictures are changed together', () => {
    const field = scaledField([5, 7, 3]);
    const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    const some = fc.uint8Array({ minLength: 105, maxLength: 105 });
    fc.assert(
      fc.property(
        u32,
        fc.nat(1000),
        fc.array(fc.tuple(u32, some), { minLength: 1, maxLength: 5 }),
        (seed, epoch, all) => {
          const together = Uint8Array.from(all.flatMap(([, picture]) => [...picture]));
          createAugmenter(field, augmentations, seed)(
            together,
            Uint32Array.from(all, ([number]) => number),
            epoch,
          );
          all.forEach(([number, picture], at) => {
            const alone = picture.slice();
            createAugmenter(field, [...augmentations].reverse(), seed)(alone, Uint32Array.of(number), epoch);
            expect([...alone]).toEqual([...together.subarray(at * 105, (at + 1) * 105)]);
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  it('differ between epochs, numbers and seeds', () => {
    const pictures = [
      augmented(augmentations, 1),
      augmented(augmentations, 2),
      augmented(augmentations, 1, 1),
      augmented(augmentations, 1, 0, 2),
    ];
    expect(new Set(pictures.map((picture) => picture.join())).size).toBe(4);
  });

  it('give these bytes in every engine and release', () => {
    const bytes = Buffer.concat(every(augmentations));
    expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe('73a009f217443c5a');
  });
});

it.each([scaledField([12]), valueField([4, 4, 1])])('refuses samples that are no pictures in bytes: %j', (field) => {
  expect(() => createAugmenter(field, ['flip'], 1)).toThrow(
    `expected pictures, bytes of shape [height, width, channels], got samples of shape [${field.shape.join(', ')}]`,
  );
});
