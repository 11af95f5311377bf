/** A canvas to draw on with a mouse, a finger, a pen or the keyboard, and the buttons that undo and redo strokes. */
import { useSignalEffect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import type { Point, Stroke } from '../draw/digit-image.ts';
import { canvasSide, historyKey, type KeyboardPen, pressKey, type Sketch } from '../draw/sketch.ts';
import { useKeptFocus } from '../look/controls.tsx';
import { cssColor } from '../look/theme.ts';

interface DrawingPadProps {
  readonly sketch: Sketch;
  /** Whether another sample than the drawing is shown. */
  readonly isUnused?: boolean;
  readonly onActivate?: () => void;
  /** Content next to the canvas, in which Ctrl+Z undoes strokes as well. */
  readonly children: ComponentChildren;
}

export function DrawingPad({ sketch, isUnused = false, onActivate = () => {}, children }: DrawingPadProps) {
  const look = `${sketch.isBlank.value ? 'blank' : ''} ${isUnused ? 'unused' : ''}`;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: its controls have the focus, whose keys it hears
    <div
      class="drawing-pad"
      onKeyDown={(event) => {
        const change = historyKey(event);
        if (!change) return;
        event.preventDefault();
        sketch[change]();
      }}
    >
      <div class={`canvas-frame ${look}`}>
        <DrawingCanvas sketch={sketch} onActivate={onActivate} />
        <p class="canvas-hint" aria-hidden="true">
          Draw a digit
        </p>
      </div>
      {children}
    </div>
  );
}

function DrawingCanvas({ sketch, onActivate }: Required<Pick<DrawingPadProps, 'sketch' | 'onActivate'>>) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const pen = useRef<KeyboardPen>({ at: { x: canvasSide / 2, y: canvasSide / 2 }, isShown: false });
  const paint = (): void => {
    // A canvas that is removed loses the focus afterwards, which calls this function.
    if (canvas.current) paintStrokes(canvas.current, sketch.strokes.value, pen.current);
  };
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
      aria-label="Canvas to draw a digit on. Arrow keys move the pen, space lowers and lifts it, delete clears, Ctrl+Z undoes."
      onPointerEnter={onActivate}
      onFocus={onActivate}
      onBlur={() => {
        pen.current.isShown = false;
        paint();
      }}
      onKeyDown={(event) => {
        if (event.ctrlKey || event.metaKey || !pressKey(event.key, pen.current, sketch)) return;
        event.preventDefault();
        pen.current.isShown = true;
        paint();
      }}
      onPointerDown={(event) => {
        if (event.button !== 0 || !event.isPrimary) return;
        onActivate();
        pen.current.isShown = false;
        event.currentTarget.setPointerCapture(event.pointerId);
        sketch.begin(pointOf(event, event.currentTarget));
      }}
      onPointerMove={(event) => {
        if (!event.isPrimary || !event.currentTarget.hasPointerCapture(event.pointerId)) return;
        const moves = event.getCoalescedEvents?.() ?? [];
        sketch.extend((moves.length > 0 ? moves : [event]).map((move) => pointOf(move, event.currentTarget)));
      }}
      onLostPointerCapture={() => sketch.lift()}
    />
  );
}

export function SketchButtons({ sketch }: { readonly sketch: Sketch }) {
  const [canUndo, canRedo, isBlank] = [sketch.canUndo.value, sketch.canRedo.value, sketch.isBlank.value];
  const buttons = useKeptFocus<HTMLParagraphElement>(`${canUndo} ${canRedo} ${isBlank}`);
  return (
    <p ref={buttons} class="row sketch-buttons">
      <button type="button" disabled={!canUndo} onClick={() => sketch.undo()}>
        Undo
      </button>
      <button type="button" disabled={!canRedo} onClick={() => sketch.redo()}>
        Redo
      </button>
      <button type="button" disabled={isBlank} onClick={() => sketch.clear()}>
        Clear
      </button>
    </p>
  );
}

function pointOf({ clientX, clientY }: PointerEvent, canvas: HTMLCanvasElement): Point {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  return { x: ((clientX - left) / width) * canvasSide, y: ((clientY - top) / height) * canvasSide };
}

const penWidth = 18;

function paintStrokes(canvas: HTMLCanvasElement, strokes: readonly Stroke[], pen: KeyboardPen): void {
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
    // A line from a point to itself paints nothing, so that a dot would not be seen.
    context.moveTo(stroke[0]!.x - 0.01, stroke[0]!.y);
    for (const { x, y } of stroke) context.lineTo(x, y);
    context.stroke();
  }
  if (!pen.isShown) return;
  context.beginPath();
  context.lineWidth = 2;
  context.strokeStyle = cssColor('--accent');
  context.arc(pen.at.x, pen.at.y, penWidth / 2 + 3, 0, 2 * Math.PI);
  context.stroke();
}
