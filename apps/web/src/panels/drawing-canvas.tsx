/** A canvas to draw on with a mouse, a finger, a pen, or the keyboard. */
import { type ReadonlySignal, useSignalEffect } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Point, Stroke } from '../draw/digit-image.ts';
import { canvasSide, extendStroke, type KeyboardPen, pressKey } from '../draw/keyboard-pen.ts';
import { paintStrokes } from '../draw/paint-strokes.ts';

interface DrawingCanvasProps {
  readonly strokes: ReadonlySignal<readonly Stroke[]>;
  readonly onActivate: () => void;
  readonly onChange: (strokes: readonly Stroke[]) => void;
}

export function DrawingCanvas({ strokes, onActivate, onChange }: DrawingCanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const pen = useRef<KeyboardPen>({ at: { x: canvasSide / 2, y: canvasSide / 2 }, isDown: false, isShown: false });
  const paint = (): void => paintStrokes(canvas.current!, strokes.value, pen.current);
  useSignalEffect(paint);
  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: its keys make it an application of its own
    <canvas
      ref={canvas}
      class="canvas"
      width={canvasSide * 2}
      height={canvasSide * 2}
      tabIndex={0}
      role="application"
      aria-label="Canvas to draw a digit on. Arrow keys move the pen, space lowers and lifts it, delete clears."
      onPointerEnter={onActivate}
      onFocus={onActivate}
      onBlur={() => {
        pen.current.isShown = false;
        paint();
      }}
      onKeyDown={(event) => {
        const next = pressKey(event.key, pen.current, strokes.value);
        if (!next) return;
        event.preventDefault();
        pen.current.isShown = true;
        if (next !== strokes.value) onChange(next);
        paint();
      }}
      onPointerDown={(event) => {
        if (event.button !== 0 || !event.isPrimary) return;
        onActivate();
        pen.current.isShown = false;
        event.currentTarget.setPointerCapture(event.pointerId);
        onChange([...strokes.value, [pointOf(event, event.currentTarget)]]);
      }}
      onPointerMove={(event) => {
        if (!event.isPrimary || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
        const moves = event.getCoalescedEvents?.() ?? [];
        const points = (moves.length > 0 ? moves : [event]).map((move) => pointOf(move, event.currentTarget));
        onChange(extendStroke(strokes.value, points));
      }}
    />
  );
}

function pointOf({ clientX, clientY }: PointerEvent, canvas: HTMLCanvasElement): Point {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return { x: ((clientX - left) / width) * canvasSide, y: ((clientY - top) / height) * canvasSide };
}
