/** Values as pictures in a grid: one color above 0, another below, more intense for larger magnitudes. */
import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { colorScheme } from '../look/theme.ts';
import { paintTiles } from './paint-tiles.ts';
import { layOutTiles, type TileGrid, type TileLayout } from './tile-layout.ts';
import './tiles.css';

interface TilesProps extends TileGrid {
  /** [count, rows, columns] */
  readonly values: Float32Array;
  /** The magnitude that gets the full color. */
  readonly scale: number;
  readonly label: string;
  /** Maximum height of the grid, maximum side of one value, and space between pictures, in CSS pixels. */
  readonly height: number;
  readonly largestCell: number;
  readonly gap: number;
  /** Index of the picture that has a frame. */
  readonly chosen?: number | undefined;
  readonly onChoose?: ((picture: number) => void) | undefined;
}

export function Tiles({ values, count, rows, columns, scale, label, chosen, onChoose, ...room }: TilesProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(frame);
  // In device pixels, so that each value has the same size on the screen.
  const ratio = Math.max(1, Math.round(devicePixelRatio));
  const layout = layOutTiles(
    { count, rows, columns },
    {
      width: width * ratio,
      height: room.height * ratio,
      gap: room.gap * ratio,
      largestCell: room.largestCell * ratio,
    },
  );
  // The next run may have a smaller layer.
  const framed = chosen === undefined ? undefined : Math.min(chosen, count - 1);
  // Read here, so that a change of theme repaints the pictures.
  const scheme = colorScheme.value;
  useEffect(() => {
    if (width > 0) paintTiles(canvas.current!, { values, count, rows, columns, scale, chosen: framed, layout });
  }, [values, scale, framed, width, scheme]);
  return (
    <div ref={frame} class="tiles">
      <canvas
        ref={canvas}
        width={layout.width}
        height={layout.height}
        style={{ inlineSize: `${layout.width / ratio}px`, cursor: onChoose ? 'pointer' : undefined }}
        role="img"
        aria-label={label}
        onClick={(event) => {
          const picture = pictureAt(event, event.currentTarget, layout, count);
          if (picture < count) onChoose?.(picture);
        }}
      />
    </div>
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
