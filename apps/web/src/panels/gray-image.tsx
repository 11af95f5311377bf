/** A grayscale image in the colors of the theme. */
import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { cssColor } from '../look/theme.ts';

interface GrayImageProps {
  /** u8, `rows` x `columns`; 0 is background. */
  readonly pixels: Uint8Array;
  readonly rows: number;
  readonly columns: number;
  readonly label: string;
}

export function GrayImage({ pixels, rows, columns, label }: GrayImageProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(columns, rows);
    pixels.forEach((ink, index) => {
      image.data[4 * index + 3] = ink;
    });
    return effect(() => {
      // Pixels give the opacity, and the theme gives the color. The stylesheet paints the background.
      context.putImageData(image, 0, 0);
      context.globalCompositeOperation = 'source-in';
      context.fillStyle = cssColor('--text');
      context.fillRect(0, 0, columns, rows);
    });
  }, [pixels, rows, columns]);
  return <canvas ref={canvas} class="gray-image" width={columns} height={rows} role="img" aria-label={label} />;
}
