/** How this person wants to see the curves; the browser remembers it. */
import { remembered } from '../look/remembered.ts';
import type { CurveAxis, CurveView } from './curves.ts';

export interface ChartSettings extends CurveView {
  /** Whether the axis of the loss is logarithmic. */
  readonly isLogarithmic: boolean;
}

/** Names of the axes within a sentence: "over the epochs". */
export const axisTitles: Readonly<Record<CurveAxis, string>> = { epoch: 'epochs', step: 'steps', time: 'seconds' };

/** Choices for the number of points in the moving mean. */
export const memories = [1, 5, 15, 40, 120, 400] as const;

const fallback: ChartSettings = { axis: 'epoch', memory: 40, isLogarithmic: true };

export const chartSettings = remembered('lockstep.charts', fallback, (stored) => {
  const { axis, memory, isLogarithmic } = { ...fallback, ...(stored as Partial<ChartSettings> | null) };
  const isKnown = axis in axisTitles && memories.some((each) => each === memory) && typeof isLogarithmic === 'boolean';
  return isKnown ? { axis, memory, isLogarithmic } : undefined;
});
