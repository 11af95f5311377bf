/** Paper and pen: draws with a mouse, a finger, a pen, or the arrow keys. */
import { useEffect, useRef } from 'preact/hooks';
import type { Point, Stroke } from '../draw/digit.ts';
import { cssColor, palette } from '../look/theme.ts';

/** Side of the paper, in the unit of strokes. */
export const paperSide = 280;
const penWidth = 18;
/** How far an arrow key moves the pen. */
const keyStep = 14;

export interface PaperProps {
  readonly strokes: readonly Stroke[];
  readonly onWake: () => void;
  readonly onChange: (strokes: readonly Stroke[]) => void;
}

export function Paper({ strokes, onWake, onChange }: PaperProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawing = useRef<number | undefined>(undefined);
  const pen = useRef<{ at: Point; isDown: boolean; isShown: boolean }>({
    at: { x: paperSide / 2, y: paperSide / 2 },
    isDown: false,
    isShown: false,
  });
  const newest = useRef(strokes);
  newest.current = strokes;

  useEffect(() => {
    const paint = (): void => paintPaper(canvas.current!, newest.current, pen.current);
    paint();
    return palette.subscribe(paint);
  }, [strokes]);

  const begin = (point: Point): void => onChange([...newest.current, [point]]);
  const extend = (points: readonly Point[]): void => {
    const last = newest.current.at(-1) ?? [];
    onChange([...newest.current.slice(0, -1), [...last, ...points]]);
  };
  const pointOf = (event: { readonly clientX: number; readonly clientY: number }): Point => {
    const { left, top, width, height } = canvas.current!.getBoundingClientRect();
    return { x: ((event.clientX - left) / width) * paperSide, y: ((event.clientY - top) / height) * paperSide };
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const { current } = pen;
    const move = moves[event.key];
    if (move) {
      const clamp = (value: number): number => Math.min(paperSide, Math.max(0, value));
      current.at = { x: clamp(current.at.x + move.x * keyStep), y: clamp(current.at.y + move.y * keyStep) };
      if (current.isDown) extend([current.at]);
    } else if (event.key === ' ') {
      current.isDown = !current.isDown;
      if (current.isDown) begin(current.at);
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      current.isDown = false;
      onChange([]);
    } else {
      return;
    }
    event.preventDefault();
    current.isShown = true;
    paintPaper(canvas.current!, newest.current, current);
  };

  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: the keys below make it an application of its own
    <canvas
      ref={canvas}
      class="paper"
      width={paperSide * 2}
      height={paperSide * 2}
      tabIndex={0}
      role="application"
      aria-label="Paper to draw a digit on. Arrow keys move the pen, space puts it down and lifts it, delete clears."
      onPointerEnter={onWake}
      onFocus={onWake}
      onBlur={() => {
        pen.current.isShown = false;
        paintPaper(canvas.current!, newest.current, pen.current);
      }}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => {
        if (drawing.current !== undefined || event.button !== 0) return;
        onWake();
        drawing.current = event.pointerId;
        pen.current.isShown = false;
        event.currentTarget.setPointerCapture(event.pointerId);
        begin(pointOf(event));
      }}
      onPointerMove={(event) => {
        if (drawing.current !== event.pointerId) return;
        const moved = event.getCoalescedEvents?.() ?? [];
        extend((moved.length > 0 ? moved : [event]).map(pointOf));
      }}
      onPointerUp={() => {
        drawing.current = undefined;
      }}
      onPointerCancel={() => {
        drawing.current = undefined;
      }}
    />
  );
}

const moves: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

function paintPaper(
  canvas: HTMLCanvasElement,
  strokes: readonly Stroke[],
  pen: { readonly at: Point; readonly isDown: boolean; readonly isShown: boolean },
): void {
  const context = canvas.getContext('2d')!;
  const scale = canvas.width / paperSide;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, paperSide, paperSide);
  context.lineCap = 'round';
  context.lineJoin = 'round';
  context.lineWidth = penWidth;
  context.strokeStyle = cssColor('--ink');
  for (const stroke of strokes) {
    const [first] = stroke;
    if (!first) continue;
    context.beginPath();
    context.moveTo(first.x, first.y);
    // A dot is a line of no length, which needs an end to be drawn.
    for (const { x, y } of stroke.length === 1 ? [first] : stroke.slice(1)) context.lineTo(x, y);
    context.stroke();
  }
  if (!pen.isShown) return;
  context.beginPath();
  context.lineWidth = 2;
  context.strokeStyle = cssColor('--accent');
  context.arc(pen.at.x, pen.at.y, penWidth / 2 + 3, 0, 2 * Math.PI);
  context.stroke();
}
