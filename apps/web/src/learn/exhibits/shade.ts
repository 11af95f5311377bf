/** Paints values as shades of the theme's accent color. */
import { effect } from '@preact/signals';
import { cssColor } from '../../look/theme.ts';

export interface Shaded {
  readonly rows: number;
  readonly columns: number;
  readonly values: readonly number[];
  readonly low: number;
  readonly high: number;
}

/** Paints one pixel per value, and repaints when the theme changes until the returned function is called. */
export function paintShades(canvas: HTMLCanvasElement, { rows, columns, values, low, high }: Shaded): () => void {
  const context = canvas.getContext('2d');
  if (!context) return () => {};
  const image = context.createImageData(columns, rows);
  for (const [index, value] of values.entries()) {
    const part = high > low ? (value - low) / (high - low) : 0;
    image.data[4 * index + 3] = Number.isNaN(part) ? 0 : 255 * Math.max(0, Math.min(1, part));
  }
  return effect(() => {
    // Pixels give the opacity, and the theme gives the color. The stylesheet paints the background.
    context.globalCompositeOperation = 'source-over';
    context.putImageData(image, 0, 0);
    context.globalCompositeOperation = 'source-in';
    context.fillStyle = cssColor('--accent');
    context.fillRect(0, 0, columns, rows);
  });
}
