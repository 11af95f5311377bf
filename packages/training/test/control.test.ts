import type { CoordinatorMessage } from '@lockstep/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../src/coordinator/events.ts';
import { startRun } from '../src/coordinator/run.ts';
import type { Trace } from '../src/coordinator/trace.ts';
import { xorshift32 } from '../src/random.ts';
import { SimulatedWorker } from '../src/simulator/simulated-worker.ts';
import { VirtualClock } from '../src/simulator/virtual-clock.ts';
import { FaultInjector } from '../src/worker/fault-injection.ts';
import { createLocalCompute } from '../src/worker/local-compute.ts';
import { createCoordinator, eventsOf, type ScriptedCoordinator, sentTo } from './scripted-coordinator.ts';
import { checksum, createProblem, hash, hostBackend } from './support.ts';

const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function playOut(coordinator: ScriptedCoordinator): void {
  for (let round = 0; round < 1_000 && coordinator.state.phase === 'training'; round++) {
    for (const connection of [...coordinator.state.connections.keys()]) coordinator.answerAll(connection);
  }
}

const control = (coordinator: ScriptedCoordinator, action: 'start' | 'pause' | 'resume') =>
  coordinator.send({ type: 'control', action });

describe('pause', () => {
  it('takes the results of the step that it is at, and does not take the step', () => {
    const coordinator = createCoordinator();
    const only = coordinator.join();
    expect(eventsOf(control(coordinator, 'pause'))).toEqual([{ type: 'pauseRequested' }]);
    expect(coordinator.state).toMatchObject({ phase: 'paused', pauseRequested: true });
    coordinator.answerAll(only);
    expect(coordinator.accepted.length).toBeGreaterThan(0);
    expect(coordinator.log.some(({ type }) => type === 'applyStep')).toBe(false);
    const effects = control(coordinator, 'resume');
    expect(effects).toContainEqual({ type: 'applyStep', step: 0 });
    expect(eventsOf(effects)).toEqual([{ type: 'resumed' }]);
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });

  it('said twice is said once, and so is resume', () => {
    const coordinator = createCoordinator();
    coordinator.join();
    control(coordinator, 'pause');
    expect(control(coordinator, 'pause')).toEqual([]);
    control(coordinator, 'resume');
    expect(control(coordinator, 'resume')).toEqual([]);
  });

  it('gives the shards of a worker that leaves to others, and does not count time against anybody', () => {
    const coordinator = createCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    playOutSteps(coordinator, 1);
    control(coordinator, 'pause');
    coordinator.send({ type: 'closed', connection: second });
    for (let waited = 0; waited < 60_000; waited += 1_000) {
      coordinator.wait(1_000);
      coordinator.handleMessage(first, { type: 'pong', sentAtMs: 0 });
    }
    expect([...coordinator.state.connections.keys()]).toEqual([first]);
    coordinator.answerAll(first);
    expect(coordinator.state.phase).toBe('paused');
    control(coordinator, 'resume');
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
    expect(coordinator.state.faults.duplicated).toBe(0);
  });

  it('let go of with nobody there says that it waits for somebody, and goes on when one comes', () => {
    const coordinator = createCoordinator();
    const only = coordinator.join();
    control(coordinator, 'pause');
    coordinator.send({ type: 'closed', connection: only });
    expect(eventsOf(control(coordinator, 'resume'))).toEqual([{ type: 'paused' }]);
    coordinator.join();
    expect(eventsOf(coordinator.log).at(-1)).toEqual({ type: 'resumed' });
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });

  it('before the start keeps a run from starting', () => {
    const coordinator = createCoordinator();
    control(coordinator, 'pause');
    coordinator.join();
    expect(coordinator.state.phase).toBe('waiting');
    control(coordinator, 'resume');
    expect(coordinator.state.phase).toBe('training');
  });

  it('of a run that has ended does nothing', () => {
    const coordinator = createCoordinator({ steps: 1 });
    coordinator.answerAll(coordinator.join());
    for (const action of ['start', 'pause', 'resume'] as const) expect(control(coordinator, action)).toEqual([]);
    expect(coordinator.state.pauseRequested).toBe(false);
  });

  it('can be stopped', () => {
    const coordinator = createCoordinator();
    coordinator.join();
    control(coordinator, 'pause');
    expect(coordinator.send({ type: 'stop', message: 'stopped' }).at(-1)).toEqual({
      type: 'failed',
      message: 'stopped',
    });
  });
});

function playOutSteps(coordinator: ScriptedCoordinator, steps: number): void {
  const until = coordinator.state.current.step + steps;
  while (coordinator.state.current.step < until) {
    for (const connection of [...coordinator.state.connections.keys()]) coordinator.answerAll(connection);
  }
}

describe('start', () => {
  it('is waited for where the run was set up so, however many workers are there', () => {
    const coordinator = createCoordinator({ waitForStart: true });
    coordinator.join();
    coordinator.wait(10_000);
    expect(coordinator.state.phase).toBe('waiting');
    expect(eventsOf(control(coordinator, 'start'))).toEqual([{ type: 'started' }]);
    playOut(coordinator);
    expect(coordinator.state.phase).toBe('finished');
  });

  it('begins with fewer workers than were wanted', () => {
    const coordinator = createCoordinator({ startWorkers: 4 });
    coordinator.join();
    expect(coordinator.state.phase).toBe('waiting');
    control(coordinator, 'start');
    expect(coordinator.state.phase).toBe('training');
  });

  it('said before anybody is there begins with the first', () => {
    const coordinator = createCoordinator({ startWorkers: 4, waitForStart: true });
    control(coordinator, 'start');
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.join();
    expect(coordinator.state.phase).toBe('training');
  });
});

describe('status', () => {
  it('tells whether anybody sees a worker, and changes nothing else', () => {
    const coordinator = createCoordinator();
    const tab = coordinator.join();
    const before = coordinator.state;
    expect(coordinator.handleMessage(tab, { type: 'status', hidden: true })).toEqual([]);
    expect(coordinator.state.connections.get(tab)?.hidden).toBe(true);
    expect(coordinator.state.current).toEqual(before.current);
    coordinator.handleMessage(tab, { type: 'status', hidden: false });
    expect(coordinator.state.connections.get(tab)?.hidden).toBe(false);
  });

  it('before hello closes its socket', () => {
    const coordinator = createCoordinator();
    const stranger = coordinator.open();
    expect(sentTo(stranger, coordinator.handleMessage(stranger, { type: 'status', hidden: true }))).toEqual(['close']);
  });
});

describe('injectFault', () => {
  const kill = { type: 'injectFault', workerId: 'w1', action: 'kill', forMs: 0 } as const;

  it('reaches the worker that it names, and is told', () => {
    const coordinator = createCoordinator({ faultInjection: true });
    const [first, second] = [coordinator.join(), coordinator.join()];
    const effects = coordinator.send({ ...kill, workerId: 'w2' });
    expect(sentTo(second, effects)).toEqual(['injectFault']);
    expect(sentTo(first, effects)).toEqual([]);
    expect(eventsOf(effects)).toEqual([{ type: 'injectFault', workerId: 'w2', action: 'kill' }]);
  });

  it('does nothing in a run that was not started for it, nor to somebody who is not there', () => {
    const coordinator = createCoordinator();
    coordinator.join();
    expect(coordinator.send(kill)).toEqual([]);
    expect(createCoordinator({ faultInjection: true }).send(kill)).toEqual([]);
  });
});

describe('a worker in trouble', () => {
  const message = (sentAtMs: number): CoordinatorMessage => ({ type: 'ping', sentAtMs });

  async function pass(clock: VirtualClock): Promise<void> {
    do await drain();
    while (clock.step());
  }

  it('that is frozen hears nothing until it has thawed, and then everything in order', async () => {
    const clock = new VirtualClock();
    const heard: [number, CoordinatorMessage][] = [];
    const trouble = new FaultInjector(clock, (heardNow) => heard.push([clock.nowMs(), heardNow]));
    expect(trouble.defers(message(0))).toBe(false);
    trouble.inject('freeze', 100);
    expect(trouble.defers(message(1))).toBe(true);
    clock.after(60, () => {
      trouble.inject('freeze', 100);
      expect(trouble.defers(message(2))).toBe(true);
    });
    await pass(clock);
    expect(heard).toEqual([
      [160, message(1)],
      [160, message(2)],
    ]);
    expect(trouble.defers(message(3))).toBe(false);
  });

  it('that is slow takes eight times as long, and says so, until the time is over', async () => {
    const clock = new VirtualClock();
    const trouble = new FaultInjector(clock, () => {});
    const result = { gradient: new Uint8Array(4), lossSum: 1, correct: 0, count: 1, computeMs: 5 };
    trouble.inject('slow', 100);
    let slowed: number | undefined;
    void trouble
      .slowed(async () => result)
      .then(({ computeMs }) => {
        slowed = computeMs;
      });
    await drain();
    expect(slowed).toBeUndefined();
    await pass(clock);
    expect([slowed, clock.nowMs()]).toEqual([40, 35]);
    clock.after(100, () => {});
    await pass(clock);
    expect(await trouble.slowed(async () => result)).toBe(result);
  });
});

const backend = await hostBackend();

/** A whole run in virtual time, steered and troubled at moments drawn from a seed. */
async function steeredRun(seed: number) {
  const problem = await createProblem(backend, { seed, startWorkers: 2 });
  const clock = new VirtualClock();
  const random = xorshift32(seed);
  const chance = (): number => random() / 2 ** 32;
  const events: RunEvent[] = [];
  const traces: Trace[] = [];
  let keys = 0;
  const run = startRun({
    ...problem.run,
    setup: { ...problem.setup, faultInjection: true, waitForStart: chance() < 0.5 },
    clock,
    newResumeKey: () => `key-${++keys}`,
    onEvent: (event) => events.push(event),
    onTrace: (trace) => traces.push(trace),
  });
  let outcome: string | undefined;
  void run.outcome.then(({ type }) => {
    outcome = type;
  });
  const workers: SimulatedWorker[] = [];
  const join = (): void => {
    workers.push(
      new SimulatedWorker({
        name: `worker ${workers.length + 1}`,
        run,
        clock,
        compute: createLocalCompute(backend, clock),
        checksum,
        hash,
        computeMs: (samples) => samples * (0.5 + chance()),
        transitMs: () => 1 + 5 * chance(),
        resultFault: () => undefined,
        sampleCacheBytes: 0,
      }),
    );
  };
  for (let worker = 0; worker < 3; worker++) join();
  const meddle = (): void => {
    if (outcome !== undefined) return;
    const roll = chance();
    const workerId = `w${1 + Math.floor(chance() * workers.length)}`;
    if (roll < 0.3) run.control('pause');
    else if (roll < 0.6) run.control('resume');
    else if (roll < 0.7) run.control('start');
    else if (roll < 0.8) run.injectFault(workerId, 'freeze', 2_000 * chance());
    else if (roll < 0.9) run.injectFault(workerId, 'slow', 1_000 * chance());
    else {
      run.injectFault(workerId, 'kill', 0);
      join();
    }
    clock.after(60 * chance(), meddle);
  };
  clock.after(30, meddle);
  clock.after(20_000, () => {
    run.control('start');
  });
  while (outcome === undefined && clock.nowMs() < 600_000) {
    await drain();
    if (!clock.step()) break;
  }
  return { outcome, events, traces, weights: problem.run.parameterServer.weights(), expected: problem.expected() };
}

describe('steering and trouble', () => {
  it('change no bit of the model', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 12; seed++) {
      const { outcome, events, traces, weights, expected } = await steeredRun(seed);
      expect(outcome).toBe('finished');
      expect(hash(new Uint8Array(weights.buffer))).toBe(hash(new Uint8Array(expected.slice().buffer)));
      for (const { type } of events) seen.add(type);
      for (const trace of traces) if (trace.type === 'answered') expect(trace.turnaroundMs).toBeGreaterThanOrEqual(0);
    }
    expect([...seen]).toEqual(expect.arrayContaining(['pauseRequested', 'resumed', 'injectFault', 'left']));
  });

  it('keep every promise of the rules, in any order with everything else', () => {
    const randomAction = fc.record({ what: fc.nat({ max: 9 }), who: fc.nat({ max: 20 }), ms: fc.nat({ max: 400 }) });
    fc.assert(
      fc.property(fc.boolean(), fc.array(randomAction, { maxLength: 120, size: 'max' }), (waitForStart, program) => {
        // The coordinator itself checks them after every event.
        const coordinator = createCoordinator({ waitForStart, faultInjection: true, epochs: 3 });
        coordinator.join();
        for (const { what, who, ms } of program) {
          const connections = [...coordinator.state.connections.keys()];
          const connection = connections[who % Math.max(1, connections.length)];
          coordinator.nowMs += ms % 7;
          if (what === 0) coordinator.join();
          else if (what === 1) control(coordinator, 'pause');
          else if (what === 2) control(coordinator, 'resume');
          else if (what === 3) control(coordinator, 'start');
          else if (what === 4) coordinator.wait(ms);
          else if (connection === undefined) continue;
          else if (what === 5) coordinator.send({ type: 'closed', connection });
          else if (what === 6) coordinator.handleMessage(connection, { type: 'status', hidden: ms % 2 === 0 });
          else if (what === 7)
            coordinator.send({ type: 'injectFault', workerId: `w${who}`, action: 'freeze', forMs: ms });
          else coordinator.answerAll(connection);
        }
        control(coordinator, 'start');
        const last = coordinator.state.phase === 'finished' ? 0 : coordinator.join();
        for (let round = 0; round < 2_000 && coordinator.state.phase !== 'finished'; round++) {
          coordinator.answerAll(last);
          coordinator.wait(50);
          for (const connection of [...coordinator.state.connections.keys()]) {
            coordinator.handleMessage(connection, { type: 'pong', sentAtMs: 0 });
          }
        }
        expect(coordinator.state.phase).toBe('finished');
      }),
      { numRuns: 60 },
    );
  });
});
