/** A color image. */
import { useEffect, useRef } from 'preact/hooks';

interface ColorImageProps {
  /** u8, `rows` x `columns` x 3: red, green and blue. */
  readonly pixels: Uint8Array;
  readonly rows: number;
  readonly columns: number;
  readonly label: string;
}

export function ColorImage({ pixels, rows, columns, label }: ColorImageProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(columns, rows);
    for (let at = 0; at < rows * columns; at++) {
      image.data.set(pixels.subarray(3 * at, 3 * at + 3), 4 * at);
      image.data[4 * at + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }, [pixels, rows, columns]);
  return <canvas ref={canvas} class="gray-image" width={columns} height={rows} role="img" aria-label={label} />;
}
