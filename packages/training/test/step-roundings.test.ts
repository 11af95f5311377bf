/** What a worker makes of exponents: those of a step in their order, whatever else is on its way. */
import { expect, it } from 'vitest';
import { StepRoundings } from '../src/worker/step-roundings.ts';

const exponents = (step: number, at: number, ...values: number[]) =>
  ({ type: 'exponents', step, at, bytes: new Uint8Array(Int8Array.from(values).buffer) }) as const;
const welcome = { gradients: 'int8-exact', gradientUnit: 0.25 } as const;
const halves = { type: 'fp16', unit: 0.25 } as const;

it('rounds to halves in a step without exponents, and not at all where the run does not', () => {
  expect(new StepRoundings(welcome).take(0, 100)).toEqual(halves);
  expect(new StepRoundings({ ...welcome, gradients: 'fp16-exact' }).take(7, 100)).toEqual(halves);
  expect(new StepRoundings({ gradients: 'int8' }).take(0, 100)).toBeUndefined();
});

it('takes the exponents of a step, also where those of the next one have overtaken its weights', () => {
  const roundings = new StepRoundings(welcome);
  roundings.add(exponents(1, 0, 2));
  roundings.add(exponents(2, 0, 5, 6));
  roundings.add(exponents(1, 1, -3));
  const first = roundings.take(1, 65);
  expect(first).toMatchObject({ type: 'int8' });
  expect([...(first as { units: Float32Array }).units.subarray(62)]).toEqual([4, 4, 0.125]);
  expect((roundings.take(2, 65) as { units: Float32Array }).units[64]).toBe(64);
  // A worker that is checked anew is sent weights once more.
  roundings.add(exponents(2, 0, 5, 6));
  expect(roundings.take(2, 65)).toMatchObject({ type: 'int8' });
});

it.each<[what: string, take: (roundings: StepRoundings) => void, message: RegExp]>([
  ['a gap', (r) => r.add(exponents(1, 1, 2)), /^exponents: expected those from block 0 on, got those from block 1 on$/],
  [
    'too few',
    (r) => {
      r.add(exponents(1, 0, 2));
      r.take(1, 65);
    },
    /^exponents: expected those of 2 blocks, got 1$/,
  ],
])('ends with a sentence for %s', (_, take, message) => {
  expect(() => take(new StepRoundings(welcome))).toThrow(message);
});

it('expects the unit that halves are counted in', () => {
  expect(() => new StepRoundings({ gradients: 'fp16-exact' })).toThrow(/^welcome: expected a gradientUnit/);
});
