/** A grey image of bytes, ink on paper in the colors of the theme. */
import { useEffect, useRef } from 'preact/hooks';
import { cssColor, palette } from '../look/theme.ts';

export interface GreyImageProps {
  /** u8, `rows` x `columns`; 0 is paper. */
  readonly pixels: Uint8Array;
  readonly rows: number;
  readonly columns: number;
  readonly label: string;
}

export function GreyImage({ pixels, rows, columns, label }: GreyImageProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(columns, rows);
    pixels.forEach((ink, at) => {
      image.data[4 * at + 3] = ink;
    });
    // Ink of varying opacity, then its color; the stylesheet puts the paper behind it.
    const paint = (): void => {
      context.putImageData(image, 0, 0);
      context.globalCompositeOperation = 'source-in';
      context.fillStyle = cssColor('--ink');
      context.fillRect(0, 0, columns, rows);
    };
    return palette.subscribe(paint);
  }, [pixels, rows, columns]);
  return <canvas ref={canvas} class="grey-image" width={columns} height={rows} role="img" aria-label={label} />;
}
