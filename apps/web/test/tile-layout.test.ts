/** Checks that pictures are laid out in a grid that fits its room. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { layOutTiles } from '../src/view/tile-layout.ts';

test('the 128 neurons of the default model fill their rows, wide and narrow', () => {
  const grid = { count: 128, rows: 28, columns: 28 };
  const room = { height: 720, gap: 3, largestCell: 24 };
  expect(layOutTiles(grid, { ...room, width: 944 })).toMatchObject({ cell: 2, perRow: 16 });
  expect(layOutTiles(grid, { ...room, width: 324 })).toMatchObject({ cell: 1, perRow: 8 });
});

test('a grid is no wider than its room where one picture fits, and has a place for each', () => {
  const size = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(
      fc.record({ count: fc.integer({ min: 1, max: 300 }), rows: size, columns: size }),
      fc.record({ width: fc.integer({ min: 40, max: 1500 }), height: size, gap: fc.nat(4), largestCell: size }),
      (grid, room) => {
        const { cell, gap, perRow, width, height } = layOutTiles(grid, room);
        expect(width).toBeLessThanOrEqual(room.width);
        expect(width).toBe(perRow * (grid.columns * cell + gap) - gap);
        expect(height).toBe(Math.ceil(grid.count / perRow) * (grid.rows * cell + gap) - gap);
        expect(cell).toBeLessThanOrEqual(room.largestCell);
      },
    ),
    { seed: 1 },
  );
});
