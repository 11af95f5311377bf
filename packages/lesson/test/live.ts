/** Live runs without a page. */
import { expect } from 'vitest';
import { type Exhibit, type LiveCurves, LiveRun, stepsPerPlace } from '../src/index.ts';
import { defineLive, type LiveName, type LiveSettings } from '../src/live-network.ts';
import type { Verdict } from '../src/verdict.ts';
import { openDigits } from './context.ts';

export function defined(names: readonly LiveName[], first: Partial<LiveSettings> = {}) {
  return defineLive({ caption: 'A live run', hint: '', names, first });
}

export function curvesOf(run: LiveRun): LiveCurves['curves'] {
  const isLive = (exhibit: Exhibit): exhibit is LiveCurves => exhibit.kind === 'live-curves';
  return run.exhibits().find(isLive)!.curves;
}

export function advance(run: LiveRun, steps: number): void {
  for (let taken = 0; taken < steps; taken += stepsPerPlace) run.advance();
}

/** Expects the verdict on a run with these settings at its end. */
export async function expectVerdict(first: Partial<LiveSettings>, expected: Verdict): Promise<void> {
  const run = new LiveRun(await openDigits(), defined([], first));
  while (run.advance());
  const [{ verdict, accuracies }] = curvesOf(run) as [LiveCurves['curves'][number]];
  expect(verdict, `${accuracies.at(-1)}`).toBe(expected);
  run.dispose();
}
