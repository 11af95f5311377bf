/** A part of the plane divided into cells, to compute a function at each. */

export interface PlaneGrid {
  readonly rows: number;
  readonly columns: number;
  /** Centers of the cells, row after row from the largest y: [rows * columns, 2]. */
  readonly centers: Float32Array;
}

export function planeGrid(
  [left, right]: readonly [number, number],
  [bottom, top]: readonly [number, number],
  cells: number,
): PlaneGrid {
  const centers = new Float32Array(cells * cells * 2);
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const at = 2 * (row * cells + column);
      centers[at] = left + ((right - left) * (column + 0.5)) / cells;
      centers[at + 1] = top - ((top - bottom) * (row + 0.5)) / cells;
    }
  }
  return { rows: cells, columns: cells, centers };
}
