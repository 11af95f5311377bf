/** Values as pixels: pictures in gray or color, shades of a matrix, and tiles with one color on each side of 0. */
import { type Signal, useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Key } from '../look/controls.tsx';
import { significant } from '../look/format.ts';
import { colorScheme, cssColor } from '../look/theme.ts';
import { layOutTiles, type TileGrid, type TileLayout } from './tile-layout.ts';

/** Colors of values; tokens are those of the theme. */
export type Palette =
  /** Red, green and blue of each pixel, each dark at `low` and bright at `high`. */
  | { readonly type: 'color'; readonly low: number; readonly high: number }
  /** From the background at `low` to the token's color at `high`. */
  | { readonly type: 'shades'; readonly color: string; readonly low: number; readonly high: number }
  /** Two colors that fade to the background near 0; the magnitude `scale` gets the full color. 0 itself is gray. */
  | { readonly type: 'signed'; readonly scale: number };

/** Grayscale pictures: 0 is background, 255 ink. */
export const ink = { type: 'shades', color: '--text', low: 0, high: 255 } as const satisfies Palette;

const signedTokens = { positive: '--accent', negative: '--test', zero: '--border' } as const;

interface RasterProps {
  /** [rows, columns], or [rows, columns, 3] in color. */
  readonly values: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
  readonly palette: Palette;
  readonly label: string;
}

/** One picture, which the style sheet scales. */
export function Raster({ values, rows, columns, palette, label }: RasterProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  // Read here, so that a change of theme repaints the picture.
  const scheme = colorScheme.value;
  useEffect(() => {
    paint(canvas.current!, { values, count: 1, rows, columns, palette, layout: onePicture });
  }, [values, rows, columns, JSON.stringify(palette), scheme]);
  return <canvas ref={canvas} class="raster" width={columns} height={rows} role="img" aria-label={label} />;
}

interface TilesProps extends TileGrid {
  /** [count, rows, columns] */
  readonly values: ArrayLike<number>;
  /** The magnitude that gets the full color. */
  readonly scale: number;
  readonly label: string;
  /** Maximum height of the grid, maximum side of one value, and space between pictures, in CSS pixels. */
  readonly height: number;
  readonly largestCell: number;
  readonly gap: number;
  /** Index of the picture that has a frame. A click on another picture changes it. */
  readonly chosen?: Signal<number> | undefined;
  /** Whether the scale is below the pictures; a text explains the color of 0. */
  readonly legend?: boolean | string;
}

/** Pictures in a grid, as large as fits. */
export function Tiles(props: TilesProps) {
  const { values, count, rows, columns, scale, label, height, largestCell, gap, chosen, legend = false } = props;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(frame);
  // In device pixels, so that each value has the same size on the screen.
  const ratio = Math.max(1, Math.round(devicePixelRatio));
  const room = { width: width * ratio, height: height * ratio, gap: gap * ratio, largestCell: largestCell * ratio };
  const layout = layOutTiles({ count, rows, columns }, room);
  // The next run may have a smaller layer.
  const framed = chosen && Math.min(chosen.value, count - 1);
  // Read here, so that a change of theme repaints the pictures.
  const scheme = colorScheme.value;
  useEffect(() => {
    if (width === 0) return;
    const palette = { type: 'signed', scale } as const;
    paint(canvas.current!, { values, count, rows, columns, palette, layout, chosen: framed });
  }, [values, scale, framed, width, scheme]);
  return (
    <>
      <div ref={frame} class="tiles">
        <canvas
          ref={canvas}
          width={layout.width}
          height={layout.height}
          style={{ inlineSize: `${layout.width / ratio}px`, cursor: chosen && 'pointer' }}
          role="img"
          aria-label={label}
          onClick={(event) => {
            const picture = pictureAt(event, event.currentTarget, layout, count);
            if (chosen && picture < count) chosen.value = picture;
          }}
        />
      </div>
      {legend !== false && <Scale scale={scale} zero={legend === true ? undefined : legend} />}
    </>
  );
}

/** A bar from the lowest to the highest value. `zero` explains the gray of 0, if it has a meaning of its own. */
function Scale({ scale, zero }: { readonly scale: number; readonly zero: string | undefined }) {
  const text = significant(Number(scale.toPrecision(2)));
  const { positive, negative } = signedTokens;
  return (
    <p class="row scale-legend">
      <span>−{text}</span>
      <span
        class="scale-bar"
        aria-hidden="true"
        style={{ '--low': `var(${negative})`, '--high': `var(${positive})` }}
      />
      <span>{text}</span>
      {zero && <Key color={signedTokens.zero}>{zero}</Key>}
    </p>
  );
}

/** Returns the width of an element in CSS pixels; 0 until it is measured, before the first paint. */
function useWidth(element: RefObject<HTMLElement | null>): number {
  const width = useSignal(0);
  useLayoutEffect(() => {
    width.value = element.current!.clientWidth;
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry!.contentRect.width);
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  return width.value;
}

/** Returns the index of the picture under the pointer. */
function pictureAt({ offsetX, offsetY }: MouseEvent, canvas: HTMLElement, { perRow }: TileLayout, count: number) {
  const column = Math.floor((offsetX / canvas.clientWidth) * perRow);
  return Math.floor((offsetY / canvas.clientHeight) * Math.ceil(count / perRow)) * perRow + column;
}

interface Painted extends TileGrid {
  readonly values: ArrayLike<number>;
  readonly palette: Palette;
  readonly layout: Pick<TileLayout, 'cell' | 'gap' | 'perRow'>;
  readonly chosen?: number | undefined;
}

const onePicture = { cell: 1, gap: 0, perRow: 1 } as const;

function paint(canvas: HTMLCanvasElement, { values, palette, layout, count, rows, columns, chosen }: Painted): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const { cell, gap, perRow } = layout;
  const image = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(image.data.buffer);
  const wordAt = wordsOf(palette, values);
  const placeOf = (tile: number): readonly [left: number, top: number] => [
    (tile % perRow) * (columns * cell + gap),
    Math.floor(tile / perRow) * (rows * cell + gap),
  ];
  for (let tile = 0; tile < count; tile++) {
    const [left, top] = placeOf(tile);
    for (let at = 0; at < rows * columns; at++) {
      const word = wordAt(tile * rows * columns + at);
      const [x, y] = [left + (at % columns) * cell, top + Math.floor(at / columns) * cell];
      for (let line = y; line < y + cell; line++)
        words.fill(word, line * canvas.width + x, line * canvas.width + x + cell);
    }
  }
  context.putImageData(image, 0, 0);
  if (chosen === undefined) return;
  const [left, top] = placeOf(chosen);
  const line = Math.max(1, gap - 1);
  context.strokeStyle = cssColor('--text');
  context.lineWidth = line;
  context.strokeRect(left + line / 2, top + line / 2, columns * cell - line, rows * cell - line);
}

const shades = 256;

/** Returns a function from a pixel's index to its RGBA word, as an image stores it. */
function wordsOf(palette: Palette, values: ArrayLike<number>): (index: number) => number {
  if (palette.type === 'color') {
    const { low, high } = palette;
    const channelOf = (at: number): number => shadeOf((values[at]! - low) / (high - low));
    return (index) => wordOf([channelOf(3 * index), channelOf(3 * index + 1), channelOf(3 * index + 2)]);
  }
  if (palette.type === 'shades') {
    const { low, high } = palette;
    const words = shadesOf(palette.color);
    return (index) => words[shadeOf((values[index]! - low) / (high - low))]!;
  }
  const [positive, negative] = [shadesOf(signedTokens.positive), shadesOf(signedTokens.negative)];
  const zero = wordOf(channelsOf(signedTokens.zero));
  return (index) => {
    const value = values[index]!;
    if (value === 0) return zero;
    return (value > 0 ? positive : negative)[shadeOf(Math.abs(value) / palette.scale)]!;
  };
}

/** @param part of the full color; without a range of values it is not finite, and means none */
function shadeOf(part: number): number {
  return Number.isFinite(part) ? Math.round((shades - 1) * Math.max(0, Math.min(1, part))) : 0;
}

/** Returns words from the background's color to the token's. */
function shadesOf(token: string): Uint32Array {
  const [background, full] = [channelsOf('--inset'), channelsOf(token)];
  return Uint32Array.from({ length: shades }, (_, shade) => {
    const part = shade / (shades - 1);
    return wordOf(full.map((channel, index) => background[index]! + part * (channel - background[index]!)));
  });
}

function wordOf([red, green, blue]: readonly number[]): number {
  return ((255 << 24) | (Math.round(blue!) << 16) | (Math.round(green!) << 8) | Math.round(red!)) >>> 0;
}

/** Returns the [red, green, blue] channels of a color token. */
function channelsOf(token: string): readonly number[] {
  return (cssColor(token).match(/\d+/g) ?? []).slice(0, 3).map(Number);
}
