/** How often checkpoints are taken, and when the next one is due. */
import type { Kind } from '@lockstep/command/options';
import * as v from 'valibot';

/** Steps or minutes between two checkpoints. */
export type CheckpointInterval = { readonly steps: number } | { readonly minutes: number };

const largest = 2 ** 32;
const steps = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(largest));
const minutes = v.pipe(v.number(), v.gtValue(0), v.maxValue(largest));

/** On the command line, `50` means steps, and `5m` or `0.5m` minutes. */
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

/** Assumed duration of the first write, as a fraction of the interval's steps: it includes compilation. */
const assumedPart = 0.5;
/** Factor by which the next write may take longer than the last one. */
const reserve = 2;
/** Least fraction of the interval to reserve for the next write: a write within one step says little about it. */
const leastPart = 0.1;
/** Fraction of a slow write's duration remembered after each shorter one: the cause may return. */
const memory = 0.5;

/**
 * Decides when the next copy is due. With an interval of N steps, a crash repeats at most N steps: a copy is taken
 * early, by the steps that its write may last, but at most twice in N steps.
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

  /** @param step number of steps taken so far */
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

  /** @param step number of steps taken when the copy was on disk */
  written(step: number): void {
    this.#writeSteps = Math.max(step - this.#copiedStep, memory * this.#writeSteps);
  }
}
