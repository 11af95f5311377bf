/** A simulated link: when frames arrive, what half-open means, and that no damaged frame of a worker is accepted. */

import { chunkChecksum, gradientChecksum, type MessageOf, type WorkerMessage } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { hostBackend } from '../../compute/test/support.ts';
import { chunkFault, gradientFault } from '../../coordinator/src/results.ts';
import { SimulatedLink } from '../src/simulated-link.ts';
import { VirtualClock } from '../src/simulated-process.ts';
import { createProblem } from './support.ts';

function openLink(encodes = false) {
  const clock = new VirtualClock();
  const [speed, ends] = [
    { latencyMs: 10, bytesPerMs: 1 },
    { coordinator: clock, worker: clock },
  ];
  const link = new SimulatedLink({ clock, speed, ends, workerName: 'w', encodes });
  const received: { readonly atMs: number; readonly message: WorkerMessage }[] = [];
  const closings: string[] = [];
  link.coordinator.listen({
    onMessage: (message) => received.push({ atMs: clock.nowMs(), message }),
    onClose: ({ reason }) => closings.push(`coordinator: ${reason}`),
  });
  link.worker.listen({ onMessage: () => {}, onClose: ({ reason }) => closings.push(`worker: ${reason}`) });
  const runUntil = (atMs: number): void => {
    let isOver = false;
    clock.after(atMs - clock.nowMs(), () => {
      isOver = true;
    });
    while (!isOver) clock.step();
  };
  return { clock, link, received, closings, runUntil };
}

const ping: MessageOf<'ping'> = { type: 'ping', sentAtMs: 0 };

describe('a link', () => {
  it('delivers frames one after another, each after its bytes and the latency', () => {
    const { link, received, runUntil } = openLink();
    for (let count = 0; count < 3; count++) link.worker.send(ping);
    runUntil(1_000);
    // A message without bulk bytes counts as 64 bytes.
    expect(received.map(({ atMs }) => atMs)).toEqual([74, 138, 202]);
  });

  it('tells how many bytes have arrived, of an unfinished frame too', () => {
    const { link, runUntil } = openLink();
    link.worker.send(ping);
    const counts = [5, 30, 74, 500].map((atMs) => {
      runUntil(atMs);
      return link.coordinator.receivedBytes;
    });
    expect(counts).toEqual([0, 20, 64, 64]);
  });

  it('tells a worker the same, and the coordinator how much it has sent; a new speed applies to later frames', () => {
    const { link, runUntil } = openLink();
    link.coordinator.send(ping);
    link.changeSpeed({ latencyMs: 10, bytesPerMs: 2 });
    link.coordinator.send(ping);
    const counts = [30, 74, 90, 106, 500].map((atMs) => {
      runUntil(atMs);
      return [link.worker.receivedBytes, link.coordinator.sentBytes];
    });
    expect(counts).toEqual([20, 64, 96, 128, 128].map((received) => [received, 128]));
  });

  it('that is slower for a while is as fast as before afterwards', () => {
    const { link, received, runUntil } = openLink();
    link.slowDown(4, 300);
    link.worker.send(ping);
    runUntil(400);
    link.worker.send(ping);
    runUntil(1_000);
    expect(received.map(({ atMs }) => atMs)).toEqual([266, 474]);
  });

  it('that is silent delivers later what was sent, and tells neither end that it is cut', () => {
    const { link, received, closings, runUntil } = openLink();
    link.silence('worker', 5_000);
    link.worker.send(ping);
    link.cut('gone');
    runUntil(4_999);
    expect([received, closings, link.coordinator.receivedBytes]).toEqual([[], [], 0]);
    runUntil(6_000);
    expect(received.map(({ atMs }) => atMs)).toEqual([5_000]);
    link.cut('gone');
    runUntil(7_000);
    expect(closings).toEqual(['coordinator: gone', 'worker: gone']);
  });
});

/** Yields what arrives of a message each time that another bit of its frame is flipped, evenly spaced. */
function* damagedArrivals(message: WorkerMessage, flips: number): Generator<WorkerMessage | undefined> {
  for (let flip = 0; flip < flips; flip++) {
    const { link, received, runUntil } = openLink(true);
    link.damageNext(flip / flips);
    link.worker.send(message);
    runUntil(5_000);
    yield received[0]?.message;
  }
}

it('a gradient with any one bit of its frame flipped is rejected, or says the same of the step', async () => {
  const { run, setup } = await createProblem(await hostBackend(), { limits: { chunkBytes: 1_024 } });
  const bytes = new Uint8Array(4 * run.parameterServer.parameterCount).map((_, index) => index);
  const sum = { step: 1, lo: 2, n: 1, bytes, lossSum: 1.5, correct: 1, count: 3 };
  const good = { type: 'gradient', ...sum, checksum: gradientChecksum(sum), computeMs: 2 } as const;
  const outcomes = new Set<string>();
  for (const message of damagedArrivals(good, 5_000)) {
    if (message?.type !== 'gradient') outcomes.add('no gradient');
    else if (gradientFault(message, setup, run.parameterServer.parameterCount) !== undefined) {
      outcomes.add('rejected');
    } else {
      outcomes.add('the same');
      const { step, lo, n, lossSum, correct, count } = message;
      expect({ step, lo, n, bytes: Uint8Array.from(message.bytes), lossSum, correct, count }).toEqual(sum);
    }
  }
  // A flipped bit in the worker's reported times goes unnoticed.
  expect([...outcomes].sort()).toEqual(['no gradient', 'rejected', 'the same']);
});

it('a chunk of a gradient with any one bit of its frame flipped is rejected', async () => {
  const { setup } = await createProblem(await hostBackend());
  const place = { at: 16, length: 16 };
  const part = { at: 16, bytes: new Uint8Array(64).map((_, index) => index) };
  const good = { type: 'chunk', ...part, checksum: chunkChecksum(part) } as const;
  expect(chunkFault(good, setup, place)).toBeUndefined();
  for (const message of damagedArrivals(good, 2_000)) {
    if (message?.type === 'chunk') expect(chunkFault(message, setup, place)).toBeDefined();
  }
});
