import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command } from '../src/events.ts';
import { usedMicrobatches } from '../src/plan.ts';
import type { Shard } from '../src/tree.ts';
import { geometry, perform, programs, workActions } from './random-events.ts';
import { type CoordinatorOptions, eventsOf, ScriptedCoordinator, sentTo, typesOf } from './scripted-coordinator.ts';

const ofRelay: CoordinatorOptions = { isRelay: true, refereeMode: 'own', refereeHash: 'aaaaaaaa' };

function relayWith(workers: number, options: CoordinatorOptions = {}): ScriptedCoordinator {
  const relay = new ScriptedCoordinator({ ...ofRelay, ...options });
  for (let worker = 0; worker < workers; worker++) relay.join();
  return relay;
}

function ask(relay: ScriptedCoordinator, step: number, { lo, n }: Shard): readonly Command[] {
  return relay.dispatch({ type: 'asked', step, lo, n });
}

describe('a relay', () => {
  it('computes nothing until it is asked', () => {
    const relay = relayWith(2);
    relay.wait(1_000);
    expect(relay.state.phase).toBe('training');
    expect(typesOf(relay.effects)).not.toContain('sendTask');
  });

  it('shares the asked shard alone among its workers, and is done when all of it is there', () => {
    const relay = relayWith(2);
    ask(relay, 3, { lo: 4, n: 4 });
    const tasks = relay.effects.flatMap((effect) => (effect.type === 'sendTask' ? [effect] : []));
    expect(tasks.map(({ step, lo, n, connection }) => ({ step, lo, n, connection }))).toEqual([
      { step: 3, lo: 4, n: 2, connection: 1 },
      { step: 3, lo: 6, n: 2, connection: 2 },
    ]);
    relay.answerAll(1);
    expect(typesOf(relay.effects)).not.toContain('askedDone');
    relay.answerAll(2);
    expect(typesOf(relay.effects).filter((type) => type === 'askedDone')).toHaveLength(1);
    expect(typesOf(relay.effects)).not.toContain('applyStep');
    expect(relay.state.current.shards.size).toBe(0);
  });

  it('sends weights once a step, however many shards of it are asked', () => {
    const relay = relayWith(1);
    for (const shard of [
      { lo: 0, n: 2 },
      { lo: 4, n: 4 },
    ]) {
      ask(relay, 1, shard);
      relay.answerAll(1);
    }
    expect(typesOf(relay.effects).filter((type) => type === 'sendWeights')).toHaveLength(1);
  });

  it.each([
    ['arrive', [], 0],
    ['broke off', [{ type: 'weightsBroken', step: 2 }], 2],
  ] as const)(
    'forwards weights to workers that computed the step before, and sends only those that broke off again: they %s',
    (_, events, sent) => {
      const relay = relayWith(2);
      ask(relay, 1, { lo: 0, n: 8 });
      // Nothing is forwarded while a shard is open, since its own weights may still have to be sent.
      const early = relay.dispatch({ type: 'weightsArriving', step: 2 });
      expect(early).toContainEqual({ type: 'forwardWeights', connections: [], step: 2 });
      for (const worker of [1, 2]) relay.answerAll(worker);
      const newcomer = relay.join();
      const effects = relay.dispatch({ type: 'weightsArriving', step: 2 });
      expect(effects).toContainEqual({ type: 'forwardWeights', connections: [1, 2], step: 2 });
      for (const event of events) relay.dispatch(event);
      const asked = ask(relay, 2, { lo: 0, n: 8 }).flatMap((effect) => (effect.type === 'sendWeights' ? [effect] : []));
      expect(asked.filter(({ connection }) => connection !== newcomer)).toHaveLength(sent);
    },
  );

  it.each([
    ['withdrawn', (relay: ScriptedCoordinator) => relay.dispatch({ type: 'askedNoMore' })],
    ['replaced by another one', (relay: ScriptedCoordinator) => ask(relay, 2, { lo: 4, n: 4 })],
  ])('cancels open tasks if the shard is %s', (_, withdraw) => {
    const relay = relayWith(2);
    ask(relay, 2, { lo: 0, n: 4 });
    relay.answerAll(1);
    const effects = withdraw(relay);
    expect(sentTo(1, effects)).not.toContain('cancel');
    expect(sentTo(2, effects)).toContain('cancel');
    // A result that still arrives is dropped.
    relay.gradient(2, { step: 2, lo: 2, n: 2 });
    expect(relay.added).toHaveLength(1);
  });

  it('gives the shard of a worker that left to another one', () => {
    const relay = relayWith(2);
    ask(relay, 0, { lo: 0, n: 8 });
    relay.close(2);
    relay.answerAll(1);
    expect(typesOf(relay.effects)).toContain('askedDone');
  });

  it('reports a shard as not finite if its own computation agrees, and goes on', () => {
    const relay = relayWith(1);
    relay.refereeFindsFinite = false;
    ask(relay, 0, { lo: 0, n: 8 });
    relay.nonFinite(1, relay.tasksOf(1)[0]!);
    expect(relay.effects).toContainEqual({ type: 'askedFailed', message: expect.stringContaining('not finite') });
    expect(relay.state.phase).toBe('training');
    ask(relay, 0, { lo: 0, n: 4 });
    relay.answerAll(1);
    expect(typesOf(relay.effects)).toContain('askedDone');
  });

  it('refuses a worker that computes other bits, with a sentence that says where to join', () => {
    const relay = relayWith(0);
    const worker = relay.open();
    relay.hello(worker);
    const effects = relay.numericsResult(worker, 'bbbbbbbb');
    expect(effects).toContainEqual(
      expect.objectContaining({
        message: { type: 'refuse', code: 'numerics', message: expect.stringContaining('join the coordinator') },
      }),
    );
    expect(eventsOf(effects)).toEqual([]);
  });

  it('computes the asked shard again if a worker sent a wrong result', () => {
    const relay = relayWith(3, { verifyRate: 1 });
    relay.liars.add(3);
    ask(relay, 0, { lo: 0, n: 8 });
    for (let round = 0; round < 20 && !typesOf(relay.effects).includes('askedDone'); round++) {
      for (const connection of relay.connections) relay.answerAll(connection);
      relay.wait(50);
    }
    expect(typesOf(relay.effects)).toContain('askedDone');
    expect(relay.state.faults.quarantined).toBe(1);
  });
});

describe('in any order of events', () => {
  const askAny = {
    weight: 12,
    always: true,
    perform(relay: ScriptedCoordinator, { value }: { value: number }): void {
      const { plan } = relay.setup;
      const step = Math.min(plan.steps - 1, relay.state.current.step + (value % 3 === 0 ? 1 : 0));
      const n = 2 ** (value % (Math.log2(plan.microbatches) + 1));
      const places = Math.ceil(usedMicrobatches(plan, step) / n);
      ask(relay, step, { lo: n * (value % places), n });
    },
  };
  const arrive = {
    weight: 6,
    always: true,
    perform(relay: ScriptedCoordinator, { value }: { value: number }): void {
      const step = relay.state.current.step + 1;
      if (step >= relay.setup.plan.steps) return;
      relay.dispatch({ type: 'weightsArriving', step });
      if (value % 2 === 0) relay.dispatch({ type: 'weightsBroken', step });
      else ask(relay, step, { lo: 0, n: 1 });
    },
  };
  const withdraw = {
    weight: 1,
    always: true,
    perform: (relay: ScriptedCoordinator): void => void relay.dispatch({ type: 'askedNoMore' }),
  };

  it('the invariants of a relay hold after each', () => {
    let done = 0;
    let forwarded = 0;
    fc.assert(
      fc.property(
        geometry,
        programs([...workActions, askAny, arrive, withdraw], { minLength: 50, maxLength: 250 }),
        (options, program) => {
          const relay = new ScriptedCoordinator({ ...options, ...ofRelay, startWorkers: 1 });
          relay.join();
          perform(relay, program);
          done += typesOf(relay.effects).filter((type) => type === 'askedDone').length;
          forwarded += relay.effects.flatMap((effect) =>
            effect.type === 'forwardWeights' ? effect.connections : [],
          ).length;
        },
      ),
      { numRuns: 60 },
    );
    // The property means nothing unless the programs reach these cases.
    expect(done).toBeGreaterThan(100);
    expect(forwarded).toBeGreaterThan(20);
  });
});
