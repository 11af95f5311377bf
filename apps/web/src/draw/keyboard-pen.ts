/** A pen for the keyboard: arrow keys move it, space lowers and lifts it, Delete clears the drawing. */
import type { Point } from './digit-image.ts';
import type { Sketch } from './sketch.ts';

/** Side of the canvas, in the unit of strokes. */
export const canvasSide = 280;
const keyStep = 14;

export interface KeyboardPen {
  at: Point;
  /** True only while a person uses the keyboard. */
  isShown: boolean;
}

const directions: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** Applies a key to the pen and the drawing; returns false if the key has no meaning here. */
export function pressKey(key: string, pen: KeyboardPen, sketch: Sketch): boolean {
  const direction = directions[key];
  if (direction) {
    const clamp = (value: number): number => Math.min(canvasSide, Math.max(0, value));
    pen.at = { x: clamp(pen.at.x + direction.x * keyStep), y: clamp(pen.at.y + direction.y * keyStep) };
    sketch.extend([pen.at]);
    return true;
  }
  if (key === ' ') {
    if (sketch.isPenDown) sketch.lift();
    else sketch.begin(pen.at);
    return true;
  }
  if (key !== 'Delete' && key !== 'Backspace') return false;
  sketch.clear();
  return true;
}
