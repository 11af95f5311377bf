/** Lays out pictures in a grid, as large as fits, in whole pixels. */

export interface TileGrid {
  readonly count: number;
  /** Size of one picture, in values. */
  readonly rows: number;
  readonly columns: number;
}

export interface TileLayout {
  /** Side of one value. */
  readonly cell: number;
  readonly perRow: number;
  readonly gap: number;
  readonly width: number;
  readonly height: number;
}

interface Room {
  readonly width: number;
  readonly height: number;
  /** Space between pictures. */
  readonly gap: number;
  readonly largestCell: number;
}

/** Minimum cell size, relative to the largest that fits, for which a grid without a short last row is preferred. */
const fullRowPart = 0.6;

/** Returns a layout in the unit of the room. A grid that does not fit may be higher than the room. */
export function layOutTiles(grid: TileGrid, room: Room): TileLayout {
  const sizes = Array.from({ length: Math.max(1, Math.floor(room.largestCell)) }, (_, index) => index + 1).reverse();
  const layouts = sizes.flatMap((cell) => {
    const most = Math.max(1, Math.floor((room.width + room.gap) / (grid.columns * cell + room.gap)));
    const full = fullRow(grid.count, most);
    return full === undefined
      ? [layout(grid, room, cell, most)]
      : [layout(grid, room, cell, full), layout(grid, room, cell, most)];
  });
  const fitting = layouts.filter(({ width, height }) => width <= room.width && height <= room.height);
  const largest = fitting[0];
  if (!largest) return layouts.at(-1)!;
  const isFull = ({ perRow, cell }: TileLayout): boolean =>
    grid.count % Math.min(perRow, grid.count) === 0 && cell >= fullRowPart * largest.cell;
  return fitting.find(isFull) ?? largest;
}

/** Returns the most pictures per row, at least half of `most`, that leave no row short; undefined if none do. */
function fullRow(count: number, most: number): number | undefined {
  for (let perRow = Math.min(most, count); perRow >= most / 2; perRow--) if (count % perRow === 0) return perRow;
  return undefined;
}

function layout({ count, rows, columns }: TileGrid, { gap }: Room, cell: number, most: number): TileLayout {
  const perRow = Math.min(most, count);
  const lines = Math.ceil(count / perRow);
  return {
    cell,
    perRow,
    gap,
    width: perRow * (columns * cell + gap) - gap,
    height: lines * (rows * cell + gap) - gap,
  };
}
