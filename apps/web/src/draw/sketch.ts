/** A drawing, stroke by stroke, with a history: each stroke and each clearing can be undone and redone. */
import { computed, type ReadonlySignal, signal } from '@preact/signals';
import type { Point, Stroke } from './digit-image.ts';

type Strokes = readonly Stroke[];

/** Earlier drawings, newest last, and undone drawings, most recently undone first. */
interface History {
  readonly past: readonly Strokes[];
  readonly future: readonly Strokes[];
}

export class Sketch {
  readonly strokes: ReadonlySignal<Strokes>;
  readonly isBlank = computed(() => this.strokes.value.length === 0);
  readonly canUndo = computed(() => this.#history.value.past.length > 0);
  readonly canRedo = computed(() => this.#history.value.future.length > 0);
  readonly #history = signal<History>({ past: [], future: [] });
  readonly #strokes;
  #isPenDown = false;

  /** @param strokes initial drawing, on a canvas of side `canvasSide` */
  constructor(strokes: Strokes = []) {
    this.#strokes = signal(strokes);
    this.strokes = this.#strokes;
  }

  get isPenDown(): boolean {
    return this.#isPenDown;
  }

  /** Puts the pen down and begins a stroke. */
  begin(at: Point): void {
    this.#change([...this.#strokes.peek(), [at]]);
    this.#isPenDown = true;
  }

  /** Moves the pen; draws nothing unless the pen is down. */
  extend(points: readonly Point[]): void {
    if (!this.#isPenDown) return;
    const strokes = this.#strokes.peek();
    this.#strokes.value = [...strokes.slice(0, -1), [...strokes.at(-1)!, ...points]];
  }

  lift(): void {
    this.#isPenDown = false;
  }

  clear(): void {
    this.lift();
    if (!this.isBlank.peek()) this.#change([]);
  }

  undo(): void {
    const { past, future } = this.#history.peek();
    this.#go(past.at(-1), { past: past.slice(0, -1), future: [this.#strokes.peek(), ...future] });
  }

  redo(): void {
    const { past, future } = this.#history.peek();
    this.#go(future[0], { past: [...past, this.#strokes.peek()], future: future.slice(1) });
  }

  #change(strokes: Strokes): void {
    this.#history.value = { past: [...this.#history.peek().past, this.#strokes.peek()], future: [] };
    this.#strokes.value = strokes;
  }

  #go(strokes: Strokes | undefined, history: History): void {
    if (strokes === undefined) return;
    this.lift();
    this.#history.value = history;
    this.#strokes.value = strokes;
  }
}

/** The action that a key has in drawing programs on every system; undefined for keys that do not undo or redo. */
export function historyKey(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return undefined;
  const key = event.key.toLowerCase();
  if (key === 'z') return event.shiftKey ? 'redo' : 'undo';
  return key === 'y' && !event.shiftKey ? 'redo' : undefined;
}

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
