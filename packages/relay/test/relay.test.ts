import { createLocalCompute } from '@lockstep/compute';
import { defaultLimits } from '@lockstep/rules';
import type { MembershipEnd } from '@lockstep/worker/internal';
import { describe, expect, it } from 'vitest';
import { sampleFields, targetFields } from '../../sim/src/problem.ts';
import { SimulatedProcess } from '../../sim/src/simulated-process.ts';
import { lies } from '../../sim/src/simulated-worker.ts';
import type { RelayRun } from '../src/relay-run.ts';
import { createRelayTree, type RelayTree, type TestRelay } from './relay-fixture.ts';

/** Lets virtual time pass until a relay has ended. */
async function endOf({ fixture }: RelayTree, { relay }: TestRelay): Promise<MembershipEnd> {
  let end: MembershipEnd | undefined;
  void relay.ended.then((value) => {
    end = value;
  });
  await fixture.until(() => end !== undefined);
  return end!;
}

/** Lets this much virtual time pass. */
async function pass({ fixture }: RelayTree, forMs: number): Promise<void> {
  const untilMs = fixture.clock.nowMs() + forMs;
  await fixture.until(() => fixture.clock.nowMs() > untilMs);
}

const recordsOf = ({ fixture }: RelayTree) => [...fixture.run.state.records.values()];

describe('a relay gives the weights of the oracle', () => {
  it.each([1, 2, 3, 4, 5])('with %i workers, as the only worker of the coordinator', async (count) => {
    const tree = await createRelayTree();
    const relay = tree.relay();
    tree.workers(relay, count, { sampleCacheBytes: count % 2 === 0 ? 1e6 : 0 });
    await tree.fixture.finish();
    expect(recordsOf(tree).map(({ kind, name }) => [kind, name])).toEqual([['relay', 'relay']]);
  });

  it.each([
    [
      'samples that are float32, with values as targets',
      { sampleField: sampleFields.f32, targetField: targetFields.f32 },
    ],
    ['rounds of inner steps', { innerSteps: { batch: 2, learningRate: 0.1, momentum: 0.5 } }],
    ['verified shards', { verifyRate: 1 }],
    ['all taking part in turns', { participation: 'rotation' }],
    ['weights and gradients in chunks', { limits: { chunkBytes: 40 } }],
    ['a batch of one microbatch', { batch: 3 }],
    ['nodes rounded to halves', { roundsToHalves: true }],
    ['nodes rounded to halves, whose vectors come in chunks', { roundsToHalves: true, limits: { chunkBytes: 40 } }],
    ['a last batch that is short', { samples: 37 }],
  ] as const)('in a run with %s', async (_, options) => {
    const tree = await createRelayTree(options);
    for (const name of ['one', 'other']) tree.workers(tree.relay(tree.root, name), 3, { sampleCacheBytes: 1e6 });
    await tree.fixture.finish();
  });

  it.each([undefined, 40])(
    'goes back with the coordinator, and begins no other run (chunks of %s bytes)',
    async (chunkBytes) => {
      const tree = await createRelayTree({
        ...{ samples: 96, batch: 24, microbatchSize: 2, epochs: 12, startWorkers: 2, verifyRate: 0.25, keptStates: 4 },
        ...(chunkBytes && { limits: { chunkBytes } }),
      });
      const relay = tree.relay();
      tree.workers(relay, 2);
      let results = 0;
      tree.worker(tree.root, { name: 'liar', resultFault: () => (++results > 12 ? lies.sign : undefined) });
      await tree.fixture.finish();
      const { rewinds } = tree.fixture.run.state;
      expect(rewinds.map(({ from, to }) => from > to)).toContain(true);
      // In another run below, the workers would join again.
      const joined = relay.events.filter((event) => event.type === 'below' && event.event.type === 'joined');
      expect(joined).toHaveLength(2);
    },
  );

  it('beside workers of the coordinator itself', async () => {
    const tree = await createRelayTree({ batch: 24, startWorkers: 2 });
    tree.workers(tree.relay(), 2);
    tree.worker(tree.root, { name: 'direct' });
    await tree.fixture.finish();
    const kinds = recordsOf(tree).flatMap(({ kind, shards }) => (shards > 0 ? [kind] : []));
    expect(kinds.sort()).toEqual(['node', 'relay']);
  });

  it('behind other relays, three deep', async () => {
    const tree = await createRelayTree({ batch: 40, microbatchSize: 2 });
    let above: TestRelay | undefined;
    for (const name of ['top', 'middle', 'bottom']) above = tree.relay(above, name);
    tree.workers(above!, 3);
    await tree.fixture.finish();
    expect(recordsOf(tree).map(({ name }) => name)).toEqual(['top']);
  });
});

describe('a liar that is honest at first costs time only, and no worker behind a relay joins again', () => {
  const habit = { lateMs: 0, boasts: false, isRelay: false, isFirst: false, honestResults: 12 };
  const liar = { name: 'liar', lie: 'sign', habit } as const;
  const options = { batch: 24, microbatchSize: 2, epochs: 60, verifyRate: 0.3, keptStates: 4 } as const;

  it.each<[where: string, depth: number, isDirect: boolean]>([
    ['at the coordinator, beside a relay', 1, true],
    ['behind a relay', 1, false],
    ['behind a relay that stands behind another', 2, false],
  ])('%s', async (_, depth, isDirect) => {
    const tree = await createRelayTree({ ...options, startWorkers: 2 });
    const relays: TestRelay[] = [];
    const runs: RelayRun[] = [];
    const onRun = (run: RelayRun): void => void runs.push(run);
    for (let level = 0; level < depth; level++) relays.push(tree.relay(relays.at(-1), `relay ${level + 1}`, { onRun }));
    const [lowest] = relays.slice(-1) as [TestRelay];
    tree.workers(lowest, 2, { sampleCacheBytes: 1e6 });
    tree.worker(tree.root, { name: 'direct' });
    tree.worker(isDirect ? tree.root : lowest, liar);
    await tree.fixture.finish();
    const { state } = tree.fixture.run;
    const names = state.rewinds.map(({ workerId }) => state.records.get(workerId)?.name);
    expect(new Set(names)).toEqual(new Set([isDirect ? 'liar' : 'relay 1']));
    expect(state.isTainted).toBe(false);
    expect(state.faults.rejected).toBe(0);
    expect(runs).toHaveLength(depth);
    const records = [...runs.at(-1)!.run.state.records.values()];
    const workers = records.filter(({ name }) => name !== 'liar');
    expect(workers.map(({ name }) => name).sort()).toEqual(['worker 1', 'worker 2']);
  });
});

describe('what passes through the coordinator', () => {
  it('is at most five times that of one worker where 64 stand behind four relays', async () => {
    const options = { samples: 1024, batch: 256, microbatchSize: 4, startWorkers: 4 };
    const alone = await createRelayTree({ ...options, startWorkers: 1 });
    alone.worker(alone.root, { sampleCacheBytes: 1e6 });
    await alone.fixture.finish();
    const tree = await createRelayTree(options);
    for (const name of ['a', 'b', 'c', 'd']) {
      tree.workers(tree.relay(tree.root, name, { sampleCacheBytes: 1e6 }), 16, { sampleCacheBytes: 1e6 });
    }
    await tree.fixture.finish();
    expect(tree.bytes / alone.bytes).toBeLessThan(5);
    expect(tree.bytes).toBeGreaterThan(alone.bytes);
  });
});

describe('a relay', () => {
  it('opens one run below where its connection breaks while it opens the first', async () => {
    const tree = await createRelayTree();
    const { clock, problem } = tree.fixture;
    const links: ReturnType<RelayTree['link']>[] = [];
    const runs: RelayRun[] = [];
    let [computes, openFirst] = [0, (): void => {}];
    const first = new Promise<void>((resolve) => {
      openFirst = resolve;
    });
    const relay = tree.relay(tree.root, 'relay', {
      async connect() {
        const link = tree.link(clock, new SimulatedProcess(clock), 'relay');
        links.push(link);
        tree.root.accept(link.coordinator, 'relay');
        return link.worker;
      },
      createCompute() {
        const compute = createLocalCompute(problem.backend, clock);
        computes += 1;
        // The first compute is for the relay's own numerics check, the second for its first run.
        return computes === 2 ? { ...compute, open: (setup) => first.then(() => compute.open(setup)) } : compute;
      },
      onRun: (run) => runs.push(run),
    });
    tree.worker(relay);
    await tree.fixture.until(() => computes === 2);
    links[0]!.cut('it broke');
    const below = () => [...(runs[0]?.run.state.connections.values() ?? [])];
    await tree.fixture.until(() => below().some(({ phase }) => phase === 'ready'));
    openFirst();
    await tree.fixture.finish();
    expect(runs).toHaveLength(1);
  });

  it('is no worker of the coordinator before one of its own is ready', async () => {
    const tree = await createRelayTree();
    const relay = tree.relay();
    await tree.fixture.until(() => relay.events.some(({ type }) => type === 'idle'));
    expect(tree.fixture.run.state.phase).toBe('waiting');
    // Longer than a numerics check may take.
    await pass(tree, 2 * defaultLimits.numericsCheckMs);
    const phases = [...tree.fixture.run.state.connections.values()].map(({ phase }) => phase);
    expect(phases).toEqual(['checking']);
    tree.worker(relay);
    await tree.fixture.finish();
  });

  it('learns that the run is over also without a worker', async () => {
    const tree = await createRelayTree();
    const relay = tree.relay();
    await tree.fixture.until(() => relay.events.some(({ type }) => type === 'idle'));
    tree.worker(tree.root, { name: 'direct' });
    expect(await endOf(tree, relay)).toEqual({ type: 'finished', message: 'the run has finished' });
  });

  it('says how many workers stand behind it, behind other relays too', async () => {
    const tree = await createRelayTree({ epochs: 200 });
    const top = tree.relay(undefined, 'top');
    tree.workers(top, 2);
    tree.workers(tree.relay(top, 'below'), 3);
    await tree.fixture.until(() => recordsOf(tree).some(({ workersBehind }) => workersBehind === 5));
    expect(recordsOf(tree)).toMatchObject([{ name: 'top', kind: 'relay', threads: expect.any(Number) }]);
  });

  it.each([1, 2, 16])(
    'is as fast as its workers together where it is asked for %i microbatches',
    async (microbatches) => {
      const sizes = { batch: 4 * microbatches, microbatchSize: 4, samples: 16 * microbatches };
      const tree = await createRelayTree({ ...sizes, epochs: 3 });
      tree.workers(tree.relay(), 4);
      await tree.untilStep(10);
      const rates = [...tree.fixture.run.state.connections.values()].map(({ samplesPerMs }) => samplesPerMs);
      expect(rates).toEqual([expect.closeTo(4, 0)]);
      await tree.fixture.finish();
    },
  );

  it('refuses a worker that computes other bits', async () => {
    const tree = await createRelayTree();
    const relay = tree.relay();
    tree.worker(relay, { name: 'other', numericMode: 'nudged' });
    tree.worker(relay, { name: 'equal' });
    await tree.fixture.finish();
    const below = [...(relay.relay.run?.run.state.records.values() ?? [])];
    expect(below.filter(({ shards }) => shards > 0).map(({ name }) => name)).toEqual(['equal']);
  });

  it('tells its workers where else they may go', async () => {
    const tree = await createRelayTree();
    const relay = tree.relay(tree.root, 'relay', { addresses: ['ws://127.0.0.1:7070/'] });
    const below = tree.relay(relay, 'below', { addresses: ['ws://127.0.0.1:7071/'] });
    tree.worker(below);
    await tree.fixture.finish();
    expect(below.relay.run?.setup.addresses).toEqual(['ws://127.0.0.1:7071/', 'ws://127.0.0.1:7070/']);
  });

  it('refuses workers without its own token, and says that of the run above', async () => {
    const tree = await createRelayTree({ token: 'above' });
    const relay = tree.relay(tree.root, 'relay', { token: 'above', workerToken: 'below' });
    tree.worker(relay, { name: 'without' });
    await tree.fixture.until(() => relay.events.some(({ type }) => type === 'idle'));
    await pass(tree, 10_000);
    expect(tree.fixture.run.state.phase).toBe('waiting');
    expect([...(relay.relay.run?.run.state.records.values() ?? [])]).toEqual([]);
  });
});

it('a relay refuses a shard whose values are not whole samples', async () => {
  const tree = await createRelayTree();
  const relay = tree.relay();
  tree.worker(relay);
  await tree.untilStep(1);
  const [shard, targets] = [{ step: 2, lo: 0, n: 1 }, new Uint16Array(2)];
  expect(() => relay.relay.run!.gradient(shard, { samples: new Uint8Array(5), targets }, {})).toThrow(
    /^microbatches .* of step 2: expected 3 samples, got 5 values and 2 targets$/,
  );
});

describe('a run goes on with the weights of the oracle where', () => {
  it('the run below a relay ends by itself: its workers come back to the next one', async () => {
    const tree = await createRelayTree({ epochs: 10 });
    const relay = tree.relay();
    tree.workers(relay, 2);
    await tree.untilStep(3);
    relay.relay.run!.run.stop('no memory is left');
    await tree.fixture.finish();
    expect(relay.events).toContainEqual({ type: 'renewed', message: 'no memory is left' });
  });

  it('all workers behind a relay are killed: another worker computes, and the relay comes back with its next one', async () => {
    const tree = await createRelayTree({ epochs: 150, startWorkers: 2 });
    const relay = tree.relay();
    const workers = tree.workers(relay, 2);
    tree.worker(tree.root, { name: 'direct' });
    await tree.untilStep(5);
    for (const worker of workers) worker.kill();
    await tree.fixture.until(() => tree.fixture.run.state.faults.disconnects === 1);
    const before = recordsOf(tree).find(({ kind }) => kind === 'relay')!.shards;
    tree.worker(relay, { name: 'late' });
    await tree.fixture.finish();
    const relays = recordsOf(tree).filter(({ kind }) => kind === 'relay');
    expect(relays.reduce((sum, { shards }) => sum + shards, 0)).toBeGreaterThan(before);
  });

  it('a relay leaves, and its workers learn that it is gone', async () => {
    const tree = await createRelayTree({ epochs: 20, startWorkers: 2 });
    const relay = tree.relay();
    const [worker] = tree.workers(relay, 1);
    tree.worker(tree.root, { name: 'direct' });
    await tree.untilStep(5);
    relay.relay.leave('enough');
    expect(await endOf(tree, relay)).toEqual({ type: 'finished', message: 'enough' });
    await tree.fixture.finish();
    expect(worker!.ended).toBe(false);
  });

  it.each(['sign', 'non-finite'] as const)('a worker behind a relay lies: %s', async (lie) => {
    const tree = await createRelayTree({ epochs: 10, verifyRate: 1 });
    const relay = tree.relay();
    tree.workers(relay, 2);
    tree.worker(relay, { name: 'liar', lie });
    await tree.fixture.finish();
    expect(tree.fixture.run.state.faults.quarantined).toBe(0);
  });
});

describe('after a run', () => {
  it('workers behind a relay are told that it is over', async () => {
    const tree = await createRelayTree();
    const relay = tree.relay();
    const workers = tree.workers(relay, 2);
    await tree.fixture.finish();
    await tree.fixture.until(() => workers.every(({ ended }) => ended));
    expect(await relay.relay.ended).toEqual({ type: 'finished', message: 'the run has finished' });
  });
});
