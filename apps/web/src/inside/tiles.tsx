/** Values as pictures in a grid: one color above 0, another below, stronger for larger sizes. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { colorScheme } from '../look/theme.ts';
import { paintTiles } from './paint-tiles.ts';
import { layOutTiles, type TileGrid } from './tile-layout.ts';

interface TilesProps extends TileGrid {
  /** [count, rows, columns] */
  readonly values: Float32Array;
  /** A value of this size has the full color. */
  readonly scale: number;
  readonly label: string;
  /** Of the grid and of one value, at most, in CSS pixels. */
  readonly height: number;
  readonly largestCell: number;
  readonly gap: number;
  /** A picture with a frame. */
  readonly chosen?: number | undefined;
  readonly onChoose?: (picture: number) => void;
}

export function Tiles({ values, count, rows, columns, scale, label, chosen, onChoose, ...room }: TilesProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry!.contentRect.width);
    });
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  // In pixels of the screen, so that each value has the same size there.
  const ratio = Math.max(1, Math.round(devicePixelRatio));
  const layout = layOutTiles(
    { count, rows, columns },
    {
      width: width.value * ratio,
      height: room.height * ratio,
      gap: room.gap * ratio,
      largestCell: room.largestCell * ratio,
    },
  );
  useEffect(() => {
    if (width.value > 0) paintTiles(canvas.current!, { values, count, rows, columns, scale, chosen, layout });
  });
  // Painted again in the colors of the theme.
  const scheme = colorScheme.value;
  const choose = ({ offsetX, offsetY, currentTarget }: MouseEvent): void => {
    const { clientWidth, clientHeight } = currentTarget as HTMLCanvasElement;
    const column = Math.floor((offsetX / clientWidth) * layout.perRow);
    const row = Math.floor((offsetY / clientHeight) * Math.ceil(count / layout.perRow));
    const picture = row * layout.perRow + column;
    if (picture < count) onChoose?.(picture);
  };
  return (
    <div ref={frame} class="tiles" data-scheme={scheme}>
      <canvas
        ref={canvas}
        width={layout.width}
        height={layout.height}
        style={{ inlineSize: `${layout.width / ratio}px`, cursor: onChoose ? 'pointer' : undefined }}
        role="img"
        aria-label={label}
        onClick={onChoose && choose}
      />
    </div>
  );
}
