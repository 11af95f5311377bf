import type { MessageOf } from '@lockstep/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Delivery, memoryPair } from '../src/memory-pair.ts';
import { describeTransport, Recorder } from './transport-suite.ts';

const nothing = async (): Promise<void> => {};

describeTransport({
  name: 'memoryPair',
  open: async () => memoryPair(),
  dispose: nothing,
  unchecked: 'it hands over the object itself',
});

describeTransport({
  name: 'memoryPair with encoding',
  open: async () => memoryPair({ encode: true }),
  dispose: nothing,
});

describe('memoryPair', () => {
  const weights: MessageOf<'weights'> = { type: 'weights', step: 1, bytes: new Uint8Array(4000) };

  it('hands over the object itself, or a checked copy if messages are encoded', async () => {
    for (const encode of [false, true]) {
      const { coordinator, worker } = memoryPair({ encode });
      const recorder = new Recorder(worker);
      coordinator.send(weights);
      await recorder.messageCount(1);
      expect(recorder.messages[0] === weights).toBe(!encode);
      expect(recorder.messages[0]).toEqual(weights);
    }
  });

  it('delivers in virtual time, and gives the scheduler each parcel', () => {
    const agenda: (() => void)[] = [];
    const parcels: Parameters<Delivery>[1][] = [];
    const { coordinator, worker } = memoryPair({
      schedule: (deliver, parcel) => {
        agenda.push(deliver);
        parcels.push(parcel);
      },
      workerName: 'third worker',
    });
    expect([coordinator.remote, worker.remote]).toEqual(['third worker', 'local coordinator']);
    const recorder = new Recorder(worker);
    coordinator.send(weights);
    coordinator.close(1000, 'done');
    expect(parcels).toEqual([
      { from: 'coordinator', kind: 'message', byteLength: 4064 },
      { from: 'coordinator', kind: 'local', byteLength: 0 },
      { from: 'coordinator', kind: 'close', byteLength: 64 },
    ]);
    expect(recorder.messages).toEqual([]);
    while (agenda.length > 0) agenda.shift()!();
    expect(recorder.messages).toEqual([weights]);
    expect(recorder.closings).toEqual([{ code: 1000, reason: 'done', by: 'remote' }]);
  });

  it('keeps the order of each direction, in whatever order the scheduler delivers', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 40 }), (choices) => {
        const agenda: (() => void)[] = [];
        const { coordinator, worker } = memoryPair({ schedule: (deliver) => agenda.push(deliver) });
        const up = new Recorder(coordinator);
        const down = new Recorder(worker);
        for (let index = 0; index < 10; index += 1) {
          worker.send({ type: 'ping', sentAtMs: index });
          coordinator.send({ type: 'pong', sentAtMs: index });
        }
        for (let turn = 0; agenda.length > 0; turn += 1) {
          const [deliver] = agenda.splice(choices[turn % choices.length]! % agenda.length, 1);
          deliver!();
        }
        const inOrder = Array.from({ length: 10 }, (_, index) => index);
        expect(up.messages.map((message) => message.type === 'ping' && message.sentAtMs)).toEqual(inOrder);
        expect(down.messages.map((message) => message.type === 'pong' && message.sentAtMs)).toEqual(inOrder);
      }),
    );
  });

  it('loses messages in flight when it is severed', async () => {
    const { coordinator, worker, sever } = memoryPair();
    const up = new Recorder(coordinator);
    const down = new Recorder(worker);
    worker.send({ type: 'ping', sentAtMs: 1 });
    sever('the cable was pulled');
    worker.send({ type: 'ping', sentAtMs: 2 });
    const lost = { code: 1006, reason: 'the cable was pulled', by: 'remote' };
    expect(await up.closing()).toEqual(lost);
    expect(await down.closing()).toEqual(lost);
    expect(up.messages).toEqual([]);
    expect(worker.bufferedBytes).toBe(0);
  });
});
