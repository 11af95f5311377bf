/** Checks the positions of values on sliders. */
import { chapters, type RangeControl } from '@lockstep/lesson';
import { expect, it } from 'vitest';
import { sliderPosition, sliderValue } from '../src/learn/slider.ts';

const ranges = chapters.flatMap(({ id, controls }) =>
  Object.entries(controls).flatMap(([name, control]) =>
    control.kind === 'range' ? [{ name: `${id}, ${name}`, control: control as RangeControl }] : [],
  ),
);

it.each(ranges)('$name: its ends and its default come back from their positions', ({ control }) => {
  for (const value of [control.from, control.fallback, control.to]) {
    expect(sliderValue(control, sliderPosition(control, value))).toBeCloseTo(value, 9);
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
