/** Checks the positions of values on sliders, and of a computation's nodes. */

import { chapters, type GraphNode, type RangeControl } from '@lockstep/lesson';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sliderPosition, sliderStep, sliderValue } from '../src/learn/control-field.tsx';
import { layOutGraph } from '../src/learn/graph.tsx';

const ranges = chapters.flatMap(({ id, controls }) =>
  Object.entries(controls).flatMap(([name, control]) =>
    control.kind === 'range' ? [{ name: `${id}, ${name}`, control: control as RangeControl }] : [],
  ),
);

/** Returns the value that a slider shows after it was moved as close to `value` as its steps allow. */
function movedTo(control: RangeControl, value: number): number {
  const from = sliderPosition(control, control.from);
  const steps = Math.round((sliderPosition(control, value) - from) / sliderStep(control));
  return sliderValue(control, from + steps * sliderStep(control));
}

it.each(ranges)('$name: reaches its ends and its default, and round numbers on a logarithmic scale', ({ control }) => {
  const { from, to, fallback, scale } = control;
  expect(sliderPosition(control, from) + sliderStep(control)).toBeLessThan(sliderPosition(control, to));
  const decades = Array.from({ length: 9 }, (_, index) => 10 ** (index - 4));
  const round = decades.flatMap((decade) => [1, 2, 3, 5].map((digit) => Number((digit * decade).toPrecision(1))));
  const inside = round.filter((value) => value > from && value < to && !(control.isWhole && value < 1));
  for (const value of [from, fallback, to, ...(scale === 'log' ? inside : [])]) {
    expect(movedTo(control, value)).toBeCloseTo(value, 9);
  }
});

it.each(ranges)('$name: no position gives a value that the control refuses', ({ control }) => {
  const [low, high] = [control.from, control.to].map((value) => sliderPosition(control, value)) as [number, number];
  for (let position = low - control.step; position <= high + control.step; position += control.step / 3) {
    const value = sliderValue(control, position);
    expect(value).toBeGreaterThanOrEqual(control.from);
    expect(value).toBeLessThanOrEqual(control.to);
    if (control.isWhole) expect(Number.isInteger(value)).toBe(true);
  }
});

/** Computations in which all nodes but the inputs read one or two earlier ones, and all but the last are read. */
const graphs = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 12 }).map((draws) => {
  const nodes: GraphNode[] = [];
  const add = (from: readonly string[]): string => {
    const id = `n${nodes.length}`;
    nodes.push({ id, formula: id, from, value: 0, gradient: 0 });
    return id;
  };
  const unread = [add([]), add([])];
  for (const [first, second, readsInput] of draws) {
    const left = unread.splice(first % unread.length, 1)[0]!;
    const right = readsInput || unread.length === 0 ? add([]) : unread.splice(second % unread.length, 1)[0]!;
    unread.push(add([left, right]));
  }
  if (unread.length > 1) add(unread);
  return nodes;
});

it('each stands to the right of all that it reads, and no two stand in one place', () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const placed = layOutGraph(nodes);
      const columns = new Map(placed.map(({ id, column }) => [id, column]));
      for (const { id, from, column, row } of placed) {
        for (const operand of from) expect(columns.get(operand), `${operand} for ${id}`).toBeLessThan(column);
        expect(column).toBeGreaterThanOrEqual(0);
        expect(row).toBeGreaterThanOrEqual(0);
      }
      expect(new Set(placed.map(({ column, row }) => `${column} ${row}`)).size).toBe(nodes.length);
    }),
    { seed: 1, numRuns: 200 },
  );
});
