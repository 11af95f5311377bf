/** Paints values with a diverging color palette. */
import { cssColor } from '../look/theme.ts';
import type { TileGrid, TileLayout } from './tile-layout.ts';

export interface PaintedTiles extends TileGrid {
  /** [count, rows, columns] */
  readonly values: Float32Array;
  readonly scale: number;
  readonly chosen: number | undefined;
  readonly layout: TileLayout;
}

const shades = 256;

/** Values above 0 have the accent color, values below 0 the color of the test set; 0 itself is gray. */
export const palette = { positive: '--accent', negative: '--test', zero: '--border' } as const;

export function paintTiles(canvas: HTMLCanvasElement, tiles: PaintedTiles): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const { layout, count, rows, columns, chosen } = tiles;
  const image = context.createImageData(layout.width, layout.height);
  const words = new Uint32Array(image.data.buffer);
  const color = colorer(tiles.scale);
  for (let tile = 0; tile < count; tile++) {
    const { left, top } = placeOf(tile, tiles);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const word = color(tiles.values[(tile * rows + row) * columns + column]!);
        const [x, y] = [left + column * layout.cell, top + row * layout.cell];
        for (let line = y; line < y + layout.cell; line++) {
          for (let at = line * layout.width + x; at < line * layout.width + x + layout.cell; at++) words[at] = word;
        }
      }
    }
  }
  context.putImageData(image, 0, 0);
  if (chosen === undefined) return;
  const { left, top } = placeOf(chosen, tiles);
  const line = Math.max(1, layout.gap - 1);
  context.strokeStyle = cssColor('--text');
  context.lineWidth = line;
  context.strokeRect(left + line / 2, top + line / 2, columns * layout.cell - line, rows * layout.cell - line);
}

function placeOf(tile: number, { layout, rows, columns }: PaintedTiles): { left: number; top: number } {
  return {
    left: (tile % layout.perRow) * (columns * layout.cell + layout.gap),
    top: Math.floor(tile / layout.perRow) * (rows * layout.cell + layout.gap),
  };
}

/** Returns a function from a value to its RGBA word, as an image stores it. */
function colorer(scale: number): (value: number) => number {
  const background = colorOf('--inset');
  const zero = wordOf(colorOf(palette.zero));
  const [positive, negative] = [palette.positive, palette.negative].map((token) => {
    const full = colorOf(token);
    return Uint32Array.from({ length: shades }, (_, shade) => {
      const part = shade / (shades - 1);
      return wordOf(full.map((channel, index) => background[index]! + part * (channel - background[index]!)));
    });
  });
  return (value) => {
    if (value === 0) return zero;
    const shade = Math.round((shades - 1) * Math.min(1, Math.abs(value) / scale));
    return (value > 0 ? positive! : negative!)[shade]!;
  };
}

function wordOf([red, green, blue]: readonly number[]): number {
  const bytes = [red!, green!, blue!].map(Math.round) as [number, number, number];
  return ((255 << 24) | (bytes[2] << 16) | (bytes[1] << 8) | bytes[0]) >>> 0;
}

/** Returns the [red, green, blue] channels of a color token. */
function colorOf(token: string): readonly number[] {
  return (cssColor(token).match(/\d+/g) ?? []).slice(0, 3).map(Number);
}
