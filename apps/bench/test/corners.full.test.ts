/** The benchmark `corners`: both candidates of each case compute what plain loops do. */
import { afterAll, expect, test } from 'vitest';
import benchmarks from '../src/cases/corners.ts';
import { openCandidate } from '../src/harness.ts';
import { effort, silent } from './counting.ts';

const [benchmark] = benchmarks;
const cases = await benchmark!.cases();
afterAll(() => benchmark!.close());

test.each(cases.map((subject) => [subject.name, subject] as const))('%s', async (_, subject) => {
  for (const candidate of subject.candidates) {
    const opened = await openCandidate(subject, candidate, effort, { progress: silent });
    if ('status' in opened) expect(opened).toMatchObject({ status: 'absent', name: 'PyTorch' });
    else await opened.implementation.close?.();
  }
});
