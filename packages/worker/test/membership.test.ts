/** When a worker reconnects, to the coordinator's next run or one that does not exist yet, and when it gives up. */

import { setImmediate as turn } from 'node:timers/promises';
import type { Compute } from '@lockstep/compute';
import type { CoordinatorMessage, MessageOf, TransportListener, WorkerTransport } from '@lockstep/protocol';
import { expect, it } from 'vitest';
import { hash } from '../../compute/test/support.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { CoordinatorBusyError, Membership, type MembershipEnd } from '../src/membership.ts';

/** The coordinator's answers to `hello`, or the error of the attempt to connect. */
type Attempt = readonly CoordinatorMessage[] | Error;

const unreached = new Error('the connection was refused');
const waiting: CoordinatorMessage = { type: 'refuse', code: 'waiting', message: 'no run yet', retryAfterMs: 2_000 };
const full: CoordinatorMessage = { ...waiting, code: 'full', message: 'full' };
const finish: CoordinatorMessage = { type: 'finish', message: 'the run is finished' };
const goesOn: CoordinatorMessage = { ...finish, anotherMayFollow: true };
const welcome: CoordinatorMessage = {
  ...{ type: 'welcome', id: 'w1', resumeKey: 'a key', model: {}, microbatchSize: 1 },
  ...{
    sampleType: 'u8',
    sampleShape: [1],
    targetType: 'classes',
    heartbeatMs: 2_000,
    maxFrameBytes: 1,
    chunkBytes: 1_024,
  },
};

function transport(answers: readonly CoordinatorMessage[], hellos: MessageOf<'hello'>[]): WorkerTransport {
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
        for (const answer of answers) listener?.onMessage(answer);
      });
    },
    sendVector: () => {},
    close(code, reason) {
      queueMicrotask(() => listener?.onClose({ code, reason, by: 'local' }));
    },
  };
}

/** Plays the attempts one after another. */
async function play(attempts: readonly Attempt[], waitForCoordinator = false, outlivesServer = waitForCoordinator) {
  const clock = new VirtualClock();
  const left = [...attempts];
  const hellos: MessageOf<'hello'>[] = [];
  const atMs: number[] = [];
  let end: MembershipEnd | undefined;
  const membership = new Membership({
    compute: { backend: 'none', numericMode: 'none', threads: 1 } as Compute,
    identity: { kind: 'node', name: 'tester' },
    ...{ clock, hash, waitForCoordinator, outlivesServer, random: () => 1 },
    async connect() {
      atMs.push(clock.nowMs());
      const attempt = left.shift() ?? unreached;
      if (attempt instanceof Error) throw attempt;
      return transport(attempt, hellos);
    },
  });
  void membership.ended.then((given) => {
    end = given;
  });
  while (left.length > 0 || (!waitForCoordinator && end === undefined)) {
    await turn();
    clock.step();
  }
  await turn();
  return { end, hellos, atMs };
}

it('it comes back for the next run, as a new worker, and goes with the last one', async () => {
  const { end, hellos } = await play([[welcome, goesOn], [waiting], [welcome, goesOn], [welcome, finish]]);
  expect(end).toEqual({ type: 'finished', message: 'the run is finished' });
  expect(hellos.map(({ resumeKey }) => resumeKey)).toEqual([undefined, undefined, undefined, undefined]);
});

it('it goes where the server has ended between two runs, though not at the first sign', async () => {
  const { end, atMs } = await play([[welcome, goesOn], unreached, [waiting], unreached, unreached]);
  expect(end).toEqual({ type: 'finished', message: 'the run is finished' });
  expect(atMs).toHaveLength(5);
});

it('a coordinator that is there but busy is tried again, also at first; one that is not there is not', async () => {
  const busy = new CoordinatorBusyError('it did not answer');
  const { end, hellos } = await play([busy, busy, busy, [welcome, finish]]);
  expect(end).toEqual({ type: 'finished', message: 'the run is finished' });
  expect(hellos).toHaveLength(1);
  expect((await play([busy, unreached])).end).toEqual({ type: 'unreachable', message: unreached.message });
});

it('it stays between two runs where it is to wait for its coordinator', async () => {
  const { end, hellos } = await play([[welcome, goesOn], unreached, unreached, unreached, [waiting]], true);
  expect(end).toBeUndefined();
  expect(hellos).toHaveLength(2);
});

it('it waits for another server only after it has been in a run, where it is to outlive its own', async () => {
  const { hellos } = await play([[welcome, goesOn], unreached, unreached, unreached, [welcome, finish]], false, true);
  expect(hellos).toHaveLength(2);
  const { end } = await play([unreached], false, true);
  expect(end).toMatchObject({ type: 'unreachable' });
});

it('a run that does not exist yet is no failure: it asks as often after a minute as at first', async () => {
  const { atMs } = await play([...Array.from({ length: 20 }, () => [waiting]), [welcome, finish]]);
  const pauses = atMs.slice(1).map((at, index) => at - atMs[index]!);
  expect(new Set(pauses)).toEqual(new Set([2_500]));
  const others = await play([[full], [full], [full], [welcome, finish]]);
  expect(others.atMs).toEqual([0, 2_500, 5_500, 9_500]);
});
