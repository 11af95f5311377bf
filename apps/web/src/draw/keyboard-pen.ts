/** A pen for the keyboard: arrow keys move it, space lowers and lifts it, delete clears the drawing. */
import type { Point } from './digit-image.ts';

/** Side of the canvas, in the unit of strokes. */
export const canvasSide = 280;
/** How far an arrow key moves the pen. */
const keyStep = 14;

export interface KeyboardPen {
  at: Point;
  isDown: boolean;
  /** Only while a person uses the keyboard. */
  isShown: boolean;
}

export interface StrokeEditor {
  begin(point: Point): void;
  /** Adds points to the last stroke. */
  extend(points: readonly Point[]): void;
  clear(): void;
}

const directions: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** Returns whether the key has a meaning here. */
export function pressKey(key: string, pen: KeyboardPen, editor: StrokeEditor): boolean {
  const direction = directions[key];
  if (direction) {
    const clamp = (value: number): number => Math.min(canvasSide, Math.max(0, value));
    pen.at = { x: clamp(pen.at.x + direction.x * keyStep), y: clamp(pen.at.y + direction.y * keyStep) };
    if (pen.isDown) editor.extend([pen.at]);
  } else if (key === ' ') {
    pen.isDown = !pen.isDown;
    if (pen.isDown) editor.begin(pen.at);
  } else if (key === 'Delete' || key === 'Backspace') {
    pen.isDown = false;
    editor.clear();
  } else {
    return false;
  }
  pen.isShown = true;
  return true;
}
