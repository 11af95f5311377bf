/** Turns pen strokes into an image like MNIST's. */
import type { RunMessage } from '@lockstep/protocol';

export const digitSize = 28;

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The points of one pen stroke, in any unit. */
export type Stroke = readonly Point[];

/** Side of the box that MNIST's digits fit; their center of mass is the image's center (LeCun et al., 1998). */
const boxSize = 20;
/** Half the stroke width in MNIST's images, in pixels. */
const penRadius = 1.25;
/** Minimum side of a drawing, as a fraction of the canvas, so that a dot is not scaled up to the whole box. */
const smallestSide = 0.05;

/**
 * Renders `strokes` as a u8 image, `digitSize` x `digitSize`, 0 for background and 255 for ink. The strokes are scaled
 * to the box, drawn with a round pen whose width does not depend on the scale, and centered by mass.
 * @param unit side of the canvas, in the strokes' unit
 */
export function digitImage(strokes: readonly Stroke[], unit: number): Uint8Array {
  const points = strokes.flat();
  if (points.length === 0) return new Uint8Array(digitSize * digitSize);
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const side = Math.max(right - left, bottom - top, smallestSide * unit);
  const scale = (boxSize - 2 * penRadius) / side;
  const middle = digitSize / 2;
  const place = (dx: number, dy: number): Stroke[] =>
    strokes.map((stroke) =>
      stroke.map(({ x, y }) => ({
        x: middle + dx + (x - (left + right) / 2) * scale,
        y: middle + dy + (y - (top + bottom) / 2) * scale,
      })),
    );
  const center = centerOfMass(rasterize(place(0, 0)));
  return rasterize(place(middle - center.x, middle - center.y));
}

/** Computes the ink by the distance of pixel centers to the path: full within the pen, none a pixel further out. */
function rasterize(strokes: readonly Stroke[]): Uint8Array {
  const image = new Uint8Array(digitSize * digitSize);
  const reach = penRadius + 0.5;
  for (const stroke of strokes) {
    stroke.forEach((to, index) => {
      const from = stroke[Math.max(0, index - 1)]!;
      const [firstColumn, lastColumn] = pixelsAround(from.x, to.x, reach);
      const [firstRow, lastRow] = pixelsAround(from.y, to.y, reach);
      for (let row = firstRow; row <= lastRow; row++) {
        for (let column = firstColumn; column <= lastColumn; column++) {
          const distance = distanceToSegment({ x: column + 0.5, y: row + 0.5 }, from, to);
          const ink = Math.min(1, Math.max(0, reach - distance));
          const at = row * digitSize + column;
          image[at] = Math.max(image[at]!, Math.round(ink * 255));
        }
      }
    });
  }
  return image;
}

/** Returns the first and last pixel within `reach` of two coordinates. */
function pixelsAround(a: number, b: number, reach: number): [number, number] {
  const pixel = (value: number): number => Math.min(digitSize - 1, Math.max(0, Math.floor(value)));
  return [pixel(Math.min(a, b) - reach), pixel(Math.max(a, b) + reach)];
}

function distanceToSegment(point: Point, from: Point, to: Point): number {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const lengthSquared = dx * dx + dy * dy;
  const along = lengthSquared === 0 ? 0 : ((point.x - from.x) * dx + (point.y - from.y) * dy) / lengthSquared;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - from.x - t * dx, point.y - from.y - t * dy);
}

/** Center of mass in pixels from the image's upper left corner. */
function centerOfMass(image: Uint8Array): Point {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, at) => {
    mass += ink;
    x += ink * ((at % digitSize) + 0.5);
    y += ink * (Math.floor(at / digitSize) + 0.5);
  });
  return mass === 0 ? { x: digitSize / 2, y: digitSize / 2 } : { x: x / mass, y: y / mass };
}

/** Whether samples are drawings. An unknown run is assumed to use MNIST. */
export function takesDrawings(run: RunMessage | undefined): boolean {
  if (!run) return true;
  const { sampleField, targetField, outputs } = run;
  const isDigit = sampleField.role === 'scaled' && sampleField.shape.join() === [digitSize, digitSize, 1].join();
  return isDigit && targetField.role === 'index' && outputs === 10;
}
