/** When a worker reconnects, to its coordinator or to the next run, what it says, and when it gives up. */

import { setImmediate as turn } from 'node:timers/promises';
import type { Compute } from '@lockstep/compute';
import type { Closing, CoordinatorMessage, MessageOf, TransportListener, WorkerTransport } from '@lockstep/protocol';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WorkerLines } from '../../../apps/worker/src/worker-lines.ts';
import { hash } from '../../compute/test/support.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { runWorker } from '../src/join.ts';
import { CoordinatorBusyError } from '../src/membership.ts';
import { welcome as anyWelcome } from './script.ts';

interface Scene {
  readonly clock: VirtualClock;
  readonly leave: () => void;
}

/** The coordinator's answers to `hello`, or the error of the attempt to connect. */
type Attempt = readonly (CoordinatorMessage | Closing | ((scene: Scene) => void))[] | Error;

const away = new Error('nothing answers there (connection refused)');
const busy = new CoordinatorBusyError('it did not answer');
const waiting: CoordinatorMessage = { type: 'refuse', code: 'waiting', message: 'no run yet', retryAfterMs: 2_000 };
const full: CoordinatorMessage = { ...waiting, code: 'full', message: 'full' };
const finish: CoordinatorMessage = { type: 'finish', message: 'the run has finished' };
const welcome: CoordinatorMessage = { ...anyWelcome, resumeKey: 'a key' };
const done = [welcome, finish];
/** The run ends, and another may follow. */
const over = { ...finish, anotherMayFollow: true } as CoordinatorMessage;
const between = [welcome, over];
const lost = [welcome, { code: 1001, reason: 'the machine sleeps', by: 'remote' } as Closing];

function transport(answers: Exclude<Attempt, Error>, scene: Scene, hellos: MessageOf<'hello'>[]): WorkerTransport {
  let listener: TransportListener<CoordinatorMessage> | undefined;
  return {
    remote: 'a test',
    bufferedBytes: 0,
    listen(given) {
      listener = given;
    },
    send(message) {
      if (message.type !== 'hello') return;
      hellos.push(message);
      queueMicrotask(() => {
        for (const answer of answers) {
          if (typeof answer === 'function') answer(scene);
          else if ('type' in answer) listener?.onMessage(answer);
          else listener?.onClose(answer);
        }
      });
    },
    sendVector: () => {},
    close(code, reason) {
      queueMicrotask(() => listener?.onClose({ code, reason, by: 'local' }));
    },
  };
}

interface Options {
  readonly waitForCoordinator?: boolean;
  readonly outlivesServer?: boolean;
}

/** Plays the attempts one after another, until the worker has ended or waits for its coordinator. */
async function play(attempts: readonly Attempt[], { waitForCoordinator = false, ...options }: Options = {}) {
  const { outlivesServer = waitForCoordinator } = options;
  const [clock, leaving, left] = [new VirtualClock(), new AbortController(), [...attempts]];
  const [hellos, atMs, logged]: [MessageOf<'hello'>[], number[], string[]] = [[], [], []];
  const scene = { clock, leave: () => leaving.abort() };
  const lines = new WorkerLines(Number.POSITIVE_INFINITY);
  lines.of({ type: 'opened', backend: 'cpu', threads: 1, reasons: ['computing on cpu'] }, 0);
  let [end, endedAtMs]: [unknown, number | undefined] = [undefined, undefined];
  const settle = (value: unknown): void => {
    [end, endedAtMs] = [value, clock.nowMs()];
  };
  const work = {
    compute: { backend: 'none', numericMode: 'none', threads: 1, open: async () => {} } as unknown as Compute,
    identity: { kind: 'node', name: 'tester' } as const,
    ...{ clock, hash, waitForCoordinator, outlivesServer },
    async connect() {
      atMs.push(clock.nowMs());
      const attempt = left.shift() ?? away;
      if (attempt instanceof Error) throw attempt;
      return transport(attempt, scene, hellos);
    },
  };
  const context = {
    emit: (event: Parameters<WorkerLines['of']>[0]) => void logged.push(...lines.of(event, 0)),
    leaving: leaving.signal,
  };
  runWorker(work, context).then(settle, settle);
  while (end === undefined && !(waitForCoordinator && left.length === 0)) {
    await turn();
    clock.step();
  }
  for (let count = 0; count < 5; count++) await turn();
  const pauses = atMs.slice(1).map((at, index) => at - atMs[index]!);
  return {
    end,
    // The compiler does not see that `settle` sets it.
    endedAtMs: endedAtMs as number | undefined,
    logged,
    pauses,
    attempts: atMs.length,
    resumeKeys: hellos.map(({ resumeKey }) => resumeKey),
  };
}

beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(1));
afterEach(() => void vi.restoreAllMocks());

const finished = { type: 'finished', message: 'the run has finished' };
const unreachable = { reason: 'unreachable', message: away.message };
const joined = 'joined as w1, computing on cpu';
const waits = `${away.message}; waiting for it (Ctrl-C to stop)`;
const keepsWaiting = `${away.message}; the run is over or the coordinator is down; waiting for the coordinator to return (Ctrl-C to stop)`;

interface Expected extends Partial<Awaited<ReturnType<typeof play>>> {
  readonly options?: Options;
}

it.each<[what: string, attempts: readonly Attempt[], Expected]>([
  ['stays until the run is over', [done], { end: finished, logged: [joined] }],
  ['ends unreachable, without a second attempt, if its first one fails', [away], { end: unreachable, logged: [] }],
  [
    'waits for its first coordinator if it was asked to, and says so once',
    [away, away, done],
    { end: finished, logged: [waits, joined], options: { waitForCoordinator: true } },
  ],
  [
    'ends with the message of a final refusal',
    [[{ type: 'refuse', code: 'token', message: 'the token is wrong' }]],
    { end: { reason: 'refused', message: 'the token is wrong' }, logged: [] },
  ],
  [
    'comes back after a temporary refusal, which names the time',
    [[{ ...full, retryAfterMs: 30_000 }], done],
    { end: finished, logged: ['full; trying again', joined], pauses: [30_500] },
  ],
  [
    'comes back with its resume key after a lost connection, and waits longer after each failure',
    [lost, away, away, away, done],
    {
      ...{ end: finished, resumeKeys: [undefined, 'a key'], pauses: [500, 1_000, 2_000, 4_000] },
      logged: [joined, 'the machine sleeps; trying again', keepsWaiting, 'rejoined as w1'],
    },
  ],
  [
    'waits shortly again after it was welcomed',
    [lost, away, away, lost, done],
    { end: finished, pauses: [500, 1_000, 2_000, 500] },
  ],
  [
    'comes back for the next run, as a new worker, and goes with the last one',
    [between, [waiting], between, done],
    { end: finished, resumeKeys: [undefined, undefined, undefined, undefined] },
  ],
  [
    'goes where the server has ended between two runs, though not at the first sign',
    [between, away, [waiting], away, away],
    { end: finished, attempts: 5 },
  ],
  [
    'goes no sooner if it was not let in before the run ended',
    [lost, away, away, [over], away, away],
    { end: finished, pauses: [500, 1_000, 2_000, 500, 1_000] },
  ],
  [
    'comes back to a run that was not its first, however long that run is away',
    [between, lost, away, away, away, done],
    { end: finished, resumeKeys: [undefined, undefined, 'a key'] },
  ],
  [
    'tries a busy coordinator again, also at first',
    [busy, busy, busy, done],
    { end: finished, resumeKeys: [undefined] },
  ],
  ['does not try again one that is not there', [busy, away], { end: unreachable }],
  [
    'stays between two runs where it is to wait for its coordinator',
    [between, away, away, away, [waiting]],
    { end: undefined, resumeKeys: [undefined, undefined], options: { waitForCoordinator: true } },
  ],
  [
    'waits for another server where it is to outlive its own',
    [between, away, away, away, done],
    { resumeKeys: [undefined, undefined], options: { outlivesServer: true } },
  ],
  ['waits for none before it has been in a run', [away], { end: unreachable, options: { outlivesServer: true } }],
  [
    'asks a run that does not exist yet as often after a minute as at first',
    [...Array.from({ length: 20 }, () => [waiting]), done],
    { end: finished, pauses: Array.from({ length: 20 }, () => 2_500) },
  ],
  ['asks a full run less and less often', [[full], [full], [full], done], { pauses: [2_500, 3_000, 4_000] }],
  [
    'says goodbye if it is told to leave',
    [[welcome, ({ leave }) => leave()]],
    { end: { type: 'left', message: 'tester leaves' } },
  ],
  [
    'stops waiting if it is told to leave',
    [[...lost, ({ clock, leave }) => void clock.after(100, leave)]],
    { end: { type: 'left', message: 'left' }, endedAtMs: 100 },
  ],
])('a worker %s', async (_what, attempts, { options, ...expected }) => {
  const { end, ...played } = await play(attempts, options);
  if ('end' in expected) {
    if (expected.end === undefined) expect(end).toBeUndefined();
    else expect(end).toMatchObject(expected.end as object);
  }
  expect({ ...played, end: undefined }).toMatchObject({ attempts: attempts.length, ...expected, end: undefined });
});

it('a worker comes back to a coordinator that is away for long, and tries at least every 15 s until then', async () => {
  const { end, logged, pauses } = await play([lost, ...Array.from({ length: 60 }, () => away), done]);
  expect(end).toMatchObject(finished);
  expect(logged.at(-1)).toBe('rejoined as w1');
  expect(Math.max(...pauses)).toBeLessThanOrEqual(15_000);
  expect(pauses.reduce((sum, pauseMs) => sum + pauseMs)).toBeGreaterThan(6 * 60_000);
});
