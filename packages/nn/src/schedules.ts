/** Learning rate schedules: pure functions of the step, with the same bits on every engine. */
import { shownValue } from '@lockstep/data/shown';
import * as v from 'valibot';
import { finiteNumber, fraction, wholeNumberFrom } from './check.ts';

const mostSteps = Number.MAX_SAFE_INTEGER;

/** Number of steps at the start of a run in which the learning rate rises linearly to its full value; 0 by default. */
const warmup = v.exactOptional(wholeNumberFrom(0, mostSteps));

/** @param factor returns the factor of the learning rate at `step`, counted from 0 after the warm-up */
function scheduleKind<Schema extends v.GenericSchema>(
  schema: Schema,
  factor: (config: v.InferOutput<Schema>, step: number) => number,
) {
  return { schema, factor };
}

const constant = scheduleKind(v.strictObject({ type: v.literal('constant'), warmup }), () => 1);

/** Same as `torch.optim.lr_scheduler.StepLR`. */
const step = scheduleKind(
  v.strictObject({
    type: v.literal('step'),
    warmup,
    /** Steps between two drops. */
    every: wholeNumberFrom(1, mostSteps),
    /** Factor by which each drop multiplies the learning rate. */
    factor: v.optional(
      finiteNumber('expected a number above 0 and at most 1', (value) => value > 0 && value <= 1),
      0.1,
    ),
  }),
  ({ every, factor }, at) => power(factor, Math.floor(at / every)),
);

/** Same as `torch.optim.lr_scheduler.CosineAnnealingLR`: `minimum + (1 - minimum) (1 + cos(pi step / steps)) / 2`. */
const cosine = scheduleKind(
  v.strictObject({
    type: v.literal('cosine'),
    warmup,
    /** Number of steps, after the warm-up, from the full learning rate to the minimum; it then stays at the minimum. */
    steps: wholeNumberFrom(1, mostSteps),
    /** The minimum, as a fraction of the full learning rate. */
    minimum: v.optional(fraction, 0),
  }),
  ({ steps, minimum }, at) => minimum + ((1 - minimum) * (1 + cosineOfPi(Math.min(at / steps, 1)))) / 2,
);

/** The table of schedules: adding a schedule takes one entry. */
export const schedules = { constant, step, cosine };

export const scheduleSchema = v.variant(
  'type',
  Object.values(schedules).map(({ schema }) => schema),
);

/** A schedule and its settings, as plain data. */
export type Schedule = v.InferOutput<typeof scheduleSchema>;

/** The name of a schedule. */
export type ScheduleType = Schedule['type'];

/**
 * Returns the factor of the learning rate at `step`, counted from 0 over the whole run.
 * During a warm-up of w steps it is `(step + 1) / w`; then the schedule begins at its own step 0.
 */
export function scheduleFactor(schedule: Schedule, step: number): number {
  if (!Object.hasOwn(schedules, schedule?.type)) {
    throw new Error(
      `schedule: expected one of ${Object.keys(schedules).join(', ')}, got ${shownValue(schedule?.type)}`,
    );
  }
  const { warmup: warmupSteps = 0 } = schedule;
  if (step < warmupSteps) return (step + 1) / warmupSteps;
  const { factor } = schedules[schedule.type] as { factor: (config: Schedule, step: number) => number };
  return factor(schedule, step - warmupSteps);
}

/** `base ^ exponent` for an integer exponent of at least 0, using only multiplications. */
export function power(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/** A cosine from only IEEE additions and multiplications, so that every engine computes the same bits. */

/** Taylor coefficients of cos in y^2, highest power first: 1/16!, -1/14!, …, 1/4!; the code adds the last two. */
const cosineTerms = [1 / 20922789888000, -1 / 87178291200, 1 / 479001600, -1 / 3628800, 1 / 40320, -1 / 720, 1 / 24];
/** Taylor coefficients of sin(y) / y in y^2, highest power first: 1/17!, …, 1/5!; the code adds the last two. */
const sineTerms = [
  1 / 355687428096000,
  -1 / 1307674368000,
  1 / 6227020800,
  -1 / 39916800,
  1 / 362880,
  -1 / 5040,
  1 / 120,
];

/** `cos(pi x)` for x from 0 to 1, within a few units in the last place of a float64. */
export function cosineOfPi(x: number): number {
  if (!(x >= 0 && x <= 1)) throw new RangeError(`cosine: expected a number from 0 to 1, got ${x}`);
  if (x > 0.5) return -cosineOfPi(1 - x);
  if (x <= 0.25) {
    const square = Math.PI * x * (Math.PI * x);
    return 1 + square * (-0.5 + square * polynomial(cosineTerms, square));
  }
  const y = Math.PI * (0.5 - x);
  const square = y * y;
  return y + y * square * (-1 / 6 + square * polynomial(sineTerms, square));
}

/** Evaluates a polynomial by Horner's rule; the first coefficient belongs to the highest power. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}
