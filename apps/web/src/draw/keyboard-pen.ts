/** A pen for the keyboard: arrow keys move it, space lowers and lifts it, delete clears the drawing. */
import type { Point, Stroke } from './digit-image.ts';

/** Side of the canvas, in the unit of strokes. */
export const canvasSide = 280;
const keyStep = 14;

export interface KeyboardPen {
  at: Point;
  isDown: boolean;
  /** Only while a person uses the keyboard. */
  isShown: boolean;
}

const directions: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** Applies a key to the pen; returns the strokes after it, or undefined where the key has no meaning here. */
export function pressKey(key: string, pen: KeyboardPen, strokes: readonly Stroke[]): readonly Stroke[] | undefined {
  const direction = directions[key];
  if (direction) {
    const clamp = (value: number): number => Math.min(canvasSide, Math.max(0, value));
    pen.at = { x: clamp(pen.at.x + direction.x * keyStep), y: clamp(pen.at.y + direction.y * keyStep) };
    return pen.isDown ? extendStroke(strokes, [pen.at]) : strokes;
  }
  if (key === ' ') {
    pen.isDown = !pen.isDown;
    return pen.isDown ? [...strokes, [pen.at]] : strokes;
  }
  if (key !== 'Delete' && key !== 'Backspace') return undefined;
  pen.isDown = false;
  return [];
}

export function extendStroke(strokes: readonly Stroke[], points: readonly Point[]): readonly Stroke[] {
  return [...strokes.slice(0, -1), [...(strokes.at(-1) ?? []), ...points]];
}
