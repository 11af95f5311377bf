/** How often checkpoints are taken, and when the next one is due. */
import type { Kind } from '@lockstep/command/options';
import * as v from 'valibot';

export type CheckpointInterval = { readonly steps: number } | { readonly minutes: number };

const largest = 2 ** 32;
const steps = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(largest));
const minutes = v.pipe(v.number(), v.gtValue(0), v.maxValue(largest));

/** On the command line `50` for steps, `5m` or `0.5m` for minutes. */
export const intervalKind: Kind<CheckpointInterval> = {
  schema: v.union([v.strictObject({ steps }), v.strictObject({ minutes })]),
  expected: '{ steps } or { minutes }, a number above 0',
  spelling: 'steps like 50, or minutes like 5m',
  placeholder: 'STEPS|MINUTES',
  read(text) {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)(m?)$/.exec(text) ?? [];
    return { [unit === 'm' ? 'minutes' : 'steps']: Number(amount) };
  },
};

export const defaultInterval: CheckpointInterval = { minutes: 1 };

/** Such as `every 50 steps`. */
export function intervalText(interval: CheckpointInterval): string {
  const [count, unit] = 'steps' in interval ? [interval.steps, 'step'] : [interval.minutes, 'minute'];
  return count === 1 ? `every ${unit}` : `every ${count} ${unit}s`;
}

/** Steps that a write may last before one was measured, as a part of the interval: the first of a process compiles its code. */
const assumedPart = 0.5;
/** The next write may take longer than the last one by this factor. */
const reserve = 2;
/** The part of the interval that the next write may last however short the last one was: a write of no step says little of it. */
const leastPart = 0.1;
/** What is left of a slow write's length after each shorter one: what held it up may come back. */
const memory = 0.5;

/**
 * When the next copy is due. With an interval of N steps at most N are computed again: a copy is taken so many steps
 * before they are over as its way to the disk may last, but never more often than twice in N steps.
 */
export class CheckpointClock {
  readonly #interval: CheckpointInterval;
  #copiedStep: number;
  #copiedAtMs: number;
  #writeSteps: number;

  constructor(interval: CheckpointInterval, firstStep: number, nowMs: number) {
    this.#interval = interval;
    this.#copiedStep = firstStep;
    this.#copiedAtMs = nowMs;
    this.#writeSteps = 'steps' in interval ? (assumedPart * interval.steps) / reserve : 0;
  }

  /** @param step steps taken so far */
  isDue(step: number, nowMs: number): boolean {
    if ('minutes' in this.#interval) return nowMs - this.#copiedAtMs >= this.#interval.minutes * 60_000;
    const { steps } = this.#interval;
    const lasting = Math.max(Math.ceil(reserve * this.#writeSteps), Math.floor(leastPart * steps));
    const early = Math.min(lasting, Math.floor(steps / 2));
    return step - this.#copiedStep >= steps - early;
  }

  copied(step: number, nowMs: number): void {
    this.#copiedStep = step;
    this.#copiedAtMs = nowMs;
  }

  /** @param step steps taken when the copy was on the disk */
  written(step: number): void {
    this.#writeSteps = Math.max(step - this.#copiedStep, memory * this.#writeSteps);
  }
}
