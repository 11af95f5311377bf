import { initialize, parseModel } from '@lockstep/nn';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { EvaluationFeed } from '../src/dashboard/dashboard.ts';

const { backend } = await openBackend('cpu');
const inputs = 4_096;

/** A feed for a model with this many hidden neurons and two classes, and its viewers. */
function setUp(hidden: number) {
  const layers = [hidden, 2].map((units) => ({ type: 'dense', units }));
  const model = parseModel({ name: 'wide', input: [inputs], layers });
  const test = {
    samples: Uint8Array.from({ length: 2 * inputs }, (_, at) => at % 251),
    sampleShape: [inputs],
    count: 2,
    targets: { type: 'classes' as const, labels: Uint16Array.of(0, 1), names: ['one', 'other'] },
  };
  const viewers = { size: 0, broadcast: () => {} };
  const failures: unknown[] = [];
  const options = { backend, prepared: { model, test }, onError: (error: unknown) => void failures.push(error) };
  const feed = new EvaluationFeed(options, viewers);
  return { feed, weights: initialize(model, 1), viewers, failures };
}

const [small, large] = [2, 1_024];

describe('the evaluation that viewers see', () => {
  it.each([
    { size: 'small', hidden: small, isLast: false, isShown: true },
    { size: 'large', hidden: large, isLast: false, isShown: false },
    { size: 'large', hidden: large, isLast: true, isShown: true },
  ])('of a $size model is made for one who comes later: $isShown, where it is the last: $isLast', async (row) => {
    const { feed, weights, viewers, failures } = setUp(row.hidden);
    feed.add({ epoch: 3, weights, isLast: row.isLast });
    viewers.size = 1;
    feed.refresh();
    if (row.isShown) await expect.poll(() => feed.message).toMatchObject({ epoch: 3, outputs: 2 });
    else expect(feed.message).toBeUndefined();
    expect(failures).toEqual([]);
  });

  it('of a large model is made for those who are there', async () => {
    const { feed, weights, viewers, failures } = setUp(large);
    viewers.size = 1;
    feed.add({ epoch: 1, weights, isLast: false });
    feed.add({ epoch: 2, weights, isLast: false });
    await expect.poll(() => feed.message?.epoch).toBe(2);
    expect(failures).toEqual([]);
  });
});
