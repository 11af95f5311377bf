/** Converts between a range control's values and slider positions, on a linear or logarithmic scale. */
import type { RangeControl } from '@lockstep/lesson';

export function sliderPosition({ scale }: RangeControl, value: number): number {
  return scale === 'log' ? Math.log10(value) : value;
}

/** Returns the value at a position: an integer if the control requires it, otherwise rounded for display. */
export function sliderValue({ scale, from, to, isWhole = false }: RangeControl, position: number): number {
  const value = scale === 'log' ? 10 ** position : position;
  const rounded = isWhole ? Math.round(value) : Number(value.toPrecision(scale === 'log' ? 3 : 10));
  return Math.max(from, Math.min(to, rounded));
}
