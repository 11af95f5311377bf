/** Initial weights, gradients and steps on the cpu backend; `golden-runs.full.test.ts` has the reference backend. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { initialize } from '../src/index.ts';
import { cases, describeGoldenRuns } from './golden-runs.ts';
import { goldens } from './goldens.ts';

test.each(
  cases.flatMap(({ name, model }) => goldens.runs[name].initial.map((initial) => ({ name, model, ...initial }))),
)('$name begins with the bits of torch.manual_seed($seed)', ({ model, seed, sha256, first }) => {
  const values = initialize(model, seed);
  expect(values[0]).toBe(Math.fround(first));
  expect(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex')).toBe(sha256);
});

describeGoldenRuns('cpu');
