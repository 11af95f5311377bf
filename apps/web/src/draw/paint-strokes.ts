/** Paints strokes and the keyboard's pen on a canvas. */
import { cssColor } from '../look/theme.ts';
import type { Stroke } from './digit-image.ts';
import { canvasSide, type KeyboardPen } from './keyboard-pen.ts';

const penWidth = 18;

export function paintStrokes(canvas: HTMLCanvasElement, strokes: readonly Stroke[], pen: KeyboardPen): void {
  const context = canvas.getContext('2d')!;
  const scale = canvas.width / canvasSide;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, canvasSide, canvasSide);
  context.lineCap = 'round';
  context.lineJoin = 'round';
  context.lineWidth = penWidth;
  context.strokeStyle = cssColor('--text');
  for (const stroke of strokes) {
    context.beginPath();
    // A dot is a line from a point to itself.
    for (const { x, y } of stroke.length === 1 ? [...stroke, ...stroke] : stroke) context.lineTo(x, y);
    context.stroke();
  }
  if (!pen.isShown) return;
  context.beginPath();
  context.lineWidth = 2;
  context.strokeStyle = cssColor('--accent');
  context.arc(pen.at.x, pen.at.y, penWidth / 2 + 3, 0, 2 * Math.PI);
  context.stroke();
}
