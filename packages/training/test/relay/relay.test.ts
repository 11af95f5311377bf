import { describe, expect, it } from 'vitest';
import { createRelayTree } from './relay-fixture.ts';

describe('a relay', () => {
  it.each([1, 2, 3, 4, 5])('with %i workers gives the weights of the oracle, as the only worker', async (count) => {
    const tree = await createRelayTree();
    const relay = tree.relay();
    tree.workers(relay, count, { sampleCacheBytes: count % 2 === 0 ? 1e6 : 0 });
    await tree.fixture.finish();
    const records = [...tree.fixture.run.state.records.values()];
    expect(records.map(({ kind, name }) => [kind, name])).toEqual([['relay', 'relay']]);
  });
});
