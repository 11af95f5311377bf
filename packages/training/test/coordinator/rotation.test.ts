import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConnectionId } from '../../src/coordinator/state.ts';
import { type CoordinatorOptions, eventsOf, ScriptedCoordinator, type Task } from './scripted-coordinator.ts';

/** Workers that take so many milliseconds for a microbatch, and answer in the order in which they are done. */
class Class {
  readonly coordinator: ScriptedCoordinator;
  readonly msOf = new Map<ConnectionId, number>();
  /** Epochs that began when each worker had shown its speed, and was not late. */
  readonly owedOf = new Map<ConnectionId, Set<number>>();
  /** Epochs in which a result of each worker counted. */
  readonly epochsOf = new Map<ConnectionId, Set<number>>();
  readonly #idOf = new Map<ConnectionId, string>();
  /** What each worker computes; it answers that too where another one was first. */
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

  /** Plays the run; each worker begins with a step's shards when the step begins, or with its trial when that was sent. */
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
      // Until the next answer the timer runs.
      if (first && first.atMs - coordinator.nowMs <= tickMs) first.answer();
      else coordinator.wait(tickMs);
      if (coordinator.nowMs - beganAtMs > tickMs) coordinator.pong(...coordinator.connections);
    }
  }

  /** The epochs that a worker is owed, but for those in which it was late: its turn has a pause then. */
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
      { numRuns: 30 },
    );
    expect(slots).toBeGreaterThan(12);
  });

  it('asks a slow worker once in an epoch, for one microbatch', () => {
    const run = new Class({ samples: 480, batch: 16, epochs }, [1, 1, 100]);
    const slow = [...run.msOf.keys()].at(-1)!;
    run.complete();
    const shards = run.coordinator.state.records.get('w3')!.shards;
    // Until its first results nothing is known of its overhead.
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
