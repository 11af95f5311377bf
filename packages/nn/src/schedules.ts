/** Learning rate schedules: pure functions of the step, with the same bits on every engine. */
import * as v from 'valibot';
import { finiteNumber, fraction, wholeNumber } from './check.ts';
import { cosineOfPi } from './cosine.ts';

const mostSteps = Number.MAX_SAFE_INTEGER;

/** Number of steps at the start of a run in which the learning rate rises linearly to its full value; 0 by default. */
const warmup = v.exactOptional(wholeNumber(0, mostSteps));

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
    every: wholeNumber(1, mostSteps),
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
    steps: wholeNumber(1, mostSteps),
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
