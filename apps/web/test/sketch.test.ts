/** Checks the history of a drawing: every change can be undone and redone, with the shortcuts of every system. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { historyKey, Sketch } from '../src/draw/sketch.ts';

const at = { x: 1, y: 2 };
const acts = {
  draw: (sketch: Sketch) => {
    sketch.begin(at);
    sketch.extend([at, at]);
    sketch.lift();
  },
  'leave the pen down': (sketch: Sketch) => sketch.begin(at),
  move: (sketch: Sketch) => sketch.extend([at]),
  clear: (sketch: Sketch) => sketch.clear(),
  undo: (sketch: Sketch) => sketch.undo(),
  redo: (sketch: Sketch) => sketch.redo(),
} as const;
const names = Object.keys(acts) as (keyof typeof acts)[];

test('undoing all gives the first drawing, and redoing all gives the last one back', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...names), { maxLength: 30 }), (given) => {
      const first = [[at]];
      const sketch = new Sketch(first);
      for (const name of given) acts[name](sketch);
      while (sketch.canRedo.value) sketch.redo();
      const last = sketch.strokes.value;
      let steps = 0;
      for (; sketch.canUndo.value; steps++) sketch.undo();
      expect(sketch.strokes.value).toEqual(first);
      // A pen that was down has been lifted, so it cannot change earlier strokes.
      sketch.extend([at]);
      expect(sketch.strokes.value).toEqual(first);
      for (; steps > 0; steps--) sketch.redo();
      expect(sketch.strokes.value).toEqual(last);
      expect(sketch.canRedo.value).toBe(false);
    }),
    { seed: 1 },
  );
});

test('a stroke after undoing takes the place of what was undone', () => {
  const sketch = new Sketch();
  acts.draw(sketch);
  acts.draw(sketch);
  sketch.undo();
  acts.draw(sketch);
  expect([sketch.strokes.value.length, sketch.canRedo.value]).toEqual([2, false]);
});

test.each([
  { keys: 'Ctrl+Z', event: { key: 'z', ctrlKey: true }, change: 'undo' },
  { keys: 'Cmd+Z', event: { key: 'z', metaKey: true }, change: 'undo' },
  { keys: 'Ctrl+Z with caps lock', event: { key: 'Z', ctrlKey: true }, change: 'undo' },
  { keys: 'Shift+Ctrl+Z', event: { key: 'Z', ctrlKey: true, shiftKey: true }, change: 'redo' },
  { keys: 'Ctrl+Y', event: { key: 'y', ctrlKey: true }, change: 'redo' },
  { keys: 'Z', event: { key: 'z' }, change: undefined },
  { keys: 'Ctrl+Alt+Z', event: { key: 'z', ctrlKey: true, altKey: true }, change: undefined },
  { keys: 'Ctrl+A', event: { key: 'a', ctrlKey: true }, change: undefined },
])('$keys: $change', ({ event, change }) => {
  const none = { ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };
  expect(historyKey({ ...none, ...event })).toBe(change);
});
