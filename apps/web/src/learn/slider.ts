/** Where a range control's values stand on a slider, which may be logarithmic. */
import type { RangeControl } from '@lockstep/lesson';

export function sliderPosition({ scale }: RangeControl, value: number): number {
  return scale === 'log' ? Math.log10(value) : value;
}

/** The value at a position: whole where the control's are, else with no more digits than a person sees. */
export function sliderValue({ scale, from, to, isWhole = false }: RangeControl, position: number): number {
  const value = scale === 'log' ? 10 ** position : position;
  const rounded = isWhole ? Math.round(value) : Number(value.toPrecision(scale === 'log' ? 3 : 10));
  return Math.max(from, Math.min(to, rounded));
}
