/** Checks the page's account of its own contribution to a run. */
import { expect, it } from 'vitest';
import { contributionOf } from '../src/watch/run-store.ts';

const report = new TextEncoder().encode(
  JSON.stringify({
    workers: [
      { id: 'w1', samples: 300 },
      { id: 'w2', samples: 0 },
      { id: 'w3', samples: 80 },
      { id: 'w4', samples: 20 },
    ],
  }),
);

it.each([
  [[], 0],
  [['w2'], 0],
  [['w3', 'w4'], 100],
  [['w9'], 0],
])('of the workers %j it has computed %i samples', (ids, ownSamples) => {
  expect(contributionOf(report, new Set(ids))).toEqual({ ownSamples, allSamples: 400, workers: 3 });
});
