import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectionId } from '../src/state.ts';
import {
  type CoordinatorOptions,
  eventsOf,
  ScriptedCoordinator,
  sharing,
  started,
  type Task,
} from './scripted-coordinator.ts';

describe('a worker that is too slow for a share', () => {
  const slowly = { computeMs: 1, totalMs: 40 };

  /** Two workers that both have a share. */
  function twoWorkers(options: CoordinatorOptions = {}) {
    const { coordinator, first: quick, second: slow } = sharing(2, { startWorkers: 2, epochs: 1_000, ...options });
    const connectionOf = (id: ConnectionId) => coordinator.state.connections.get(id)!;
    const owes = (id: ConnectionId): boolean => coordinator.tasksOf(id).length > 0;
    return { coordinator, quick, slow, connectionOf, owes };
  }

  /** Plays steps in which each task of the slow worker takes the given time. */
  function playUntil(
    { coordinator, quick, slow, connectionOf }: ReturnType<typeof twoWorkers>,
    { computeMs, totalMs }: typeof slowly,
    isDone: () => boolean,
  ): number {
    let steps = 0;
    for (; !isDone(); steps++) {
      expect(steps).toBeLessThan(2_000);
      const { trial } = connectionOf(slow);
      const { step } = coordinator.state.current;
      const startedAtMs = coordinator.nowMs;
      coordinator.nowMs += 4;
      if (trial && trial.step <= step && coordinator.nowMs >= trial.startedAtMs + totalMs) {
        coordinator.gradient(slow, trial, computeMs);
      }
      coordinator.answerAll(quick, 4);
      if (coordinator.state.current.step > step) continue;
      coordinator.nowMs = Math.max(coordinator.nowMs, startedAtMs + totalMs);
      coordinator.answerAll(slow, computeMs);
    }
    return steps;
  }

  it('is waited for no longer, whatever it says of its computing, and comes back when it is quick again', () => {
    const run = twoWorkers();
    const { slow, connectionOf, owes } = run;
    // Two steps are planned ahead.
    playUntil(run, slowly, () => !owes(slow) && connectionOf(slow).trial !== undefined);
    const { shards } = run.coordinator.state.records.get('w2')!;
    playUntil(run, slowly, () => connectionOf(slow).link.results > 10);
    expect(run.coordinator.state.records.get('w2')!.shards).toBe(shards);
    const steps = playUntil(run, { computeMs: 1, totalMs: 2 }, () => owes(slow));
    expect(steps).toBeGreaterThan(5);
    expect(run.coordinator.state.records.get('w2')!.shards).toBe(shards);
  });

  it('spends a quarter of its time on trials, whose results are only timed', () => {
    const run = twoWorkers();
    const { coordinator, slow, connectionOf, owes } = run;
    playUntil(run, slowly, () => !owes(slow) && connectionOf(slow).trial !== undefined);
    const { results: before } = connectionOf(slow).link;
    const [sinceMs, from] = [coordinator.nowMs, coordinator.effects.length];
    playUntil(run, slowly, () => coordinator.nowMs > sinceMs + 20 * 160);
    const results = connectionOf(slow).link.results - before;
    expect(results).toBeGreaterThanOrEqual(18);
    expect(results).toBeLessThanOrEqual(21);
    const asked = coordinator.effects.slice(from).filter((effect) => effect.type === 'sendTask');
    expect(asked.filter(({ connection }) => connection === slow).every(({ n }) => n === 1)).toBe(true);
    // The trial's microbatches are also part of the other worker's shards.
    expect(asked.filter(({ connection }) => connection !== slow).every(({ n }) => n === 8)).toBe(true);
  });

  it('is closed when it never answers a trial', () => {
    const run = twoWorkers();
    const { coordinator, quick, slow, connectionOf, owes } = run;
    playUntil(run, slowly, () => !owes(slow) && connectionOf(slow).trial !== undefined);
    for (let waited = 0; waited < 20 && coordinator.connections.includes(slow); waited++) {
      coordinator.answerAll(quick, 4);
      coordinator.wait(1_000);
      coordinator.pong(quick, slow);
    }
    expect(coordinator.connections).toEqual([quick]);
  });

  it('is not closed for a trial that it has dropped, because the weights of its turn came before it had begun', () => {
    const run = twoWorkers({ participation: 'rotation' });
    const { coordinator, quick, slow, connectionOf } = run;
    const hasDropped = (): boolean => connectionOf(slow).trial!.step < connectionOf(slow).weightsStep;
    playUntil(run, slowly, () => connectionOf(slow).trial !== undefined);
    for (let steps = 0; !hasDropped(); steps++) {
      expect(steps).toBeLessThan(100);
      coordinator.answerAll(quick, 4);
      coordinator.answerAll(slow, 1);
    }
    /** A worker drops the trial whose weights newer ones have replaced. */
    const answer = (id: ConnectionId): void => {
      const { trial, weightsStep } = connectionOf(id);
      if (trial?.step === weightsStep) coordinator.gradient(id, trial, 1);
      coordinator.answerAll(id, 1);
    };
    for (let waited = 0; waited < 100; waited++) {
      answer(slow);
      answer(quick);
      coordinator.wait(100);
      coordinator.pong(quick, slow);
      expect(coordinator.connections).toEqual([quick, slow]);
    }
  });
});

describe('workers beyond the number of microbatches', () => {
  it('get no share, and the run does not wait for them', () => {
    const coordinator = new ScriptedCoordinator({ batch: 4, microbatchSize: 2, samples: 16, epochs: 8 });
    const connections = Array.from({ length: 5 }, () => coordinator.join());
    // In the first steps the workers are on trial one after another.
    coordinator.completeSteps(10);
    expect(connections.filter((connection) => coordinator.tasksOf(connection).length > 0)).toHaveLength(2);
    coordinator.finish();
  });

  it('are not on trial, since no rate would give each worker a share', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 3, batch: 4, samples: 64 });
    const connections = Array.from({ length: 3 }, () => coordinator.join({ samplesPerMs: 1 }));
    coordinator.completeSteps(5);
    // Each worker was on trial once, as a newcomer.
    for (const connection of connections) expect(coordinator.state.connections.get(connection)!.trial).toBeUndefined();
    expect(coordinator.effects.filter((effect) => effect.type === 'sendTask').length).toBeLessThan(20);
  });
});

describe('a rate that no device has', () => {
  it.each([Number.POSITIVE_INFINITY, Number.NaN, 5e-324, 1e308, 0])('of %d samples/ms does not stop a run', (rate) => {
    const { coordinator } = started(1, { epochs: 4 });
    coordinator.join({ samplesPerMs: rate });
    coordinator.finish();
  });
});

/** Workers with a given number of milliseconds for a microbatch, which answer in the order in which they finish. */
class Class {
  readonly coordinator: ScriptedCoordinator;
  readonly msOf = new Map<ConnectionId, number>();
  /** For each worker, the epochs that began while its speed was known and it was not late. */
  readonly owedOf = new Map<ConnectionId, Set<number>>();
  /** For each worker, the epochs in which a result of it counted. */
  readonly epochsOf = new Map<ConnectionId, Set<number>>();
  readonly #idOf = new Map<ConnectionId, string>();
  /** Each worker's current task, which it answers even if another worker was first. */
  readonly #begun = new Map<ConnectionId, { readonly task: Task; readonly atMs: number }>();

  constructor(options: CoordinatorOptions, paces: readonly number[]) {
    this.coordinator = new ScriptedCoordinator({ startWorkers: paces.length, participation: 'rotation', ...options });
    for (const ms of paces) {
      const connection = this.coordinator.join({ samplesPerMs: 2 / ms });
      this.msOf.set(connection, ms);
      this.epochsOf.set(connection, new Set());
      this.owedOf.set(connection, new Set());
      this.#idOf.set(connection, this.coordinator.state.connections.get(connection)!.workerId!);
    }
  }

  /** Plays the run. Each worker begins its shards when the step begins, and its trial when that is sent. */
  complete(): void {
    const { coordinator } = this;
    for (let step = -1, beganAtMs = 0; coordinator.state.phase === 'training'; ) {
      if (coordinator.state.current.step > step) {
        step = coordinator.state.current.step;
        beganAtMs = coordinator.nowMs;
        this.#beginStep(step);
      }
      const answers = coordinator.connections.flatMap((connection) => this.#answersOf(connection, step, beganAtMs));
      const [first] = answers.sort((a, b) => a.atMs - b.atMs);
      // The timer ticks until the next answer.
      if (first && first.atMs - coordinator.nowMs <= tickMs) first.answer();
      else coordinator.wait(tickMs);
      if (coordinator.nowMs - beganAtMs > tickMs) coordinator.pong(...coordinator.connections);
    }
  }

  /** Returns the epochs in which a worker is owed a turn, without those in which it was late: its turn then pauses. */
  owedInTime(connection: ConnectionId): number[] {
    const { effects } = this.coordinator;
    const { stepsPerEpoch } = this.coordinator.setup.plan;
    const id = this.#idOf.get(connection);
    const late = eventsOf(effects).flatMap((event) =>
      event.type === 'late' && event.workerId === id ? [Math.floor(event.step / stepsPerEpoch)] : [],
    );
    return [...this.owedOf.get(connection)!].filter((epoch) => !late.includes(epoch));
  }

  #beginStep(step: number): void {
    const { stepsPerEpoch } = this.coordinator.setup.plan;
    if (step % stepsPerEpoch !== 0) return;
    for (const { connection, isProven, answerByMs } of this.coordinator.state.connections.values()) {
      if (isProven && answerByMs === undefined) this.owedOf.get(connection)!.add(step / stepsPerEpoch);
    }
  }

  #answersOf(connection: ConnectionId, step: number, beganAtMs: number) {
    const { coordinator } = this;
    const ms = this.msOf.get(connection)!;
    const { trial, answerByMs } = coordinator.state.connections.get(connection)!;
    const [task] = coordinator.tasksOf(connection);
    const isLate = answerByMs !== undefined;
    const own = task ? { task, atMs: beganAtMs + ms * task.n } : isLate ? this.#begun.get(connection) : undefined;
    if (own) this.#begun.set(connection, own);
    const asked = trial && trial.step <= step ? { task: trial, atMs: trial.startedAtMs + ms } : undefined;
    return [own, asked].flatMap((due) => {
      if (!due) return [];
      const answer = (): void => {
        coordinator.nowMs = Math.max(coordinator.nowMs, due.atMs);
        if (due === own) this.#begun.delete(connection);
        if (task && due === own)
          this.epochsOf.get(connection)!.add(Math.floor(step / coordinator.setup.plan.stepsPerEpoch));
        coordinator.gradient(connection, due.task, ms * due.task.n);
      };
      return [{ atMs: due.atMs, answer }];
    });
  }
}

const tickMs = 50;
const epochs = 4;
const everyEpoch = [...Array(epochs).keys()];

describe('a run in which all take part', () => {
  it('counts a microbatch of each worker that has shown its speed in every epoch, however slow it is', () => {
    const pace = fc.constantFrom(1, 4, 30, 200);
    const geometry = fc.record({ samples: fc.integer({ min: 40, max: 60 }), batch: fc.integer({ min: 6, max: 16 }) });
    let slots = 0;
    fc.assert(
      fc.property(geometry, fc.array(pace, { minLength: 2, maxLength: 6 }), (options, paces) => {
        const run = new Class({ ...options, epochs }, paces);
        run.complete();
        for (const connection of run.owedOf.keys()) {
          const owed = run.owedInTime(connection);
          expect([...run.epochsOf.get(connection)!]).toEqual(expect.arrayContaining(owed));
          slots += owed.length;
        }
      }),
      { numRuns: 20 },
    );
    expect(slots).toBeGreaterThan(12);
  });

  it('asks a slow worker once in an epoch, for one microbatch', () => {
    const run = new Class({ samples: 480, batch: 16, epochs }, [1, 1, 100]);
    const slow = [...run.msOf.keys()].at(-1)!;
    run.complete();
    const shards = run.coordinator.state.records.get('w3')!.shards;
    // The worker's overhead is unknown until its first results.
    expect(shards).toBeGreaterThanOrEqual(epochs);
    expect(shards).toBeLessThanOrEqual(epochs + 4);
    expect([...run.epochsOf.get(slow)!]).toEqual(everyEpoch);
  });

  it('does not wait longer than a deadline for a turn, and gives it again when the worker is back', () => {
    const run = new Class({ samples: 1_280, batch: 16, epochs: 2 }, [4, 100]);
    const { coordinator } = run;
    const [quick, slow] = coordinator.connections as [ConnectionId, ConnectionId];
    while (coordinator.state.connections.get(slow)!.turn === undefined) {
      coordinator.nowMs += 1;
      for (const connection of [quick, slow])
        for (const task of coordinator.tasksOf(connection))
          coordinator.gradient(connection, task, run.msOf.get(connection)! * task.n);
    }
    while (coordinator.tasksOf(slow).length === 0) coordinator.answerAll(quick, 1);
    const [task] = coordinator.tasksOf(slow);
    const from = coordinator.nowMs;
    const events: string[] = [];
    while (coordinator.state.current.step === task!.step) {
      coordinator.answerAll(quick, 1);
      events.push(...eventsOf(coordinator.wait(50)).map(({ type }) => type));
      coordinator.pong(quick, slow);
    }
    expect(events).toContain('late');
    expect(coordinator.nowMs - from).toBeLessThanOrEqual(coordinator.setup.limits.hardDeadlineMs);
    coordinator.gradient(slow, task!, 100);
    run.complete();
    expect([...run.epochsOf.get(slow)!]).toEqual([0, 1]);
  });
});
