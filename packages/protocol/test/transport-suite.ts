/** The rules of `Transport` as one suite, run on every implementation. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CoordinatorMessage, Message, WorkerMessage } from '../src/messages.ts';
import type { Closing, CoordinatorTransport, Transport, WorkerTransport } from '../src/transport.ts';
import { exampleOf, maySend, messageTypes } from './arbitraries.ts';
import { Changes } from './changes.ts';

interface Link {
  readonly coordinator: CoordinatorTransport;
  readonly worker: WorkerTransport;
}

interface TransportUnderTest {
  readonly name: string;
  /** Opens a new pair of joined ends. */
  open(): Promise<Link>;
  /** Ends what `open` started. */
  dispose(): Promise<void>;
  /** Why this transport delivers messages unchecked, if it does. */
  readonly unchecked?: string;
}

/** Records what one end receives. */
export class Recorder<Receives extends Message> {
  readonly messages: Receives[] = [];
  readonly closings: Closing[] = [];
  readonly #changes = new Changes();

  constructor(transport: Transport<Receives, never>) {
    transport.listen({
      onMessage: (message) => {
        this.messages.push(message);
        this.#changes.noted();
      },
      onClose: (closing) => {
        this.closings.push(closing);
        this.#changes.noted();
      },
    });
  }

  async messageCount(count: number): Promise<void> {
    await this.#changes.until(() => this.messages.length >= count);
  }

  closing(): Promise<Closing> {
    return this.#changes.until(() => this.closings[0]);
  }
}

const ping = (sentAtMs: number): Message & { readonly type: 'ping' } => ({ type: 'ping', sentAtMs });

export function describeTransport({ name, open, dispose, unchecked }: TransportUnderTest): void {
  /** Opens a pair whose ends record what they receive. */
  const joined = async () => {
    const { coordinator, worker } = await open();
    return { coordinator, worker, atCoordinator: new Recorder(coordinator), atWorker: new Recorder(worker) };
  };

  describe(`${name} as a transport`, () => {
    afterEach(() => dispose());

    it('carries every message of the table', async () => {
      const { coordinator, worker, atCoordinator, atWorker } = await joined();
      const up = messageTypes.filter((type) => maySend('worker', type)).map((type) => exampleOf(type));
      const down = messageTypes.filter((type) => maySend('coordinator', type)).map((type) => exampleOf(type));
      for (const message of up) worker.send(message as WorkerMessage);
      for (const message of down) coordinator.send(message as CoordinatorMessage);
      await atCoordinator.messageCount(up.length);
      await atWorker.messageCount(down.length);
      expect(atCoordinator.messages).toStrictEqual(up);
      expect(atWorker.messages).toStrictEqual(down);
    });

    it('carries a megabyte unchanged', async () => {
      const { coordinator, atWorker } = await joined();
      const bytes = Uint8Array.from({ length: 2 ** 20 }, (_, index) => (index * 2_654_435_761) >>> 24);
      coordinator.send({ type: 'weights', step: 1, bytes });
      await atWorker.messageCount(1);
      const [message] = atWorker.messages;
      expect(message?.type === 'weights' && Buffer.compare(message.bytes, bytes)).toBe(0);
    });

    it('keeps the order', async () => {
      const { worker, atCoordinator } = await joined();
      const pings = Array.from({ length: 300 }, (_, index) => ping(index));
      for (const message of pings) worker.send(message);
      await atCoordinator.messageCount(300);
      expect(atCoordinator.messages).toEqual(pings);
    });

    it('keeps messages that arrive before listen is called', async () => {
      const { coordinator, worker } = await open();
      const atWorker = new Recorder(worker);
      worker.send(ping(1));
      coordinator.send(ping(2));
      await atWorker.messageCount(1);
      worker.send({ type: 'bye', message: 'done' });
      worker.close(1000, 'done');
      const atCoordinator = new Recorder(coordinator);
      await atCoordinator.closing();
      expect(atCoordinator.messages.map(({ type }) => type)).toEqual(['ping', 'bye']);
    });

    it('lets short messages pass between the chunks of a long vector, which keep their order', async () => {
      const { coordinator, atWorker } = await joined();
      const bytes = new Uint8Array(2 ** 18);
      coordinator.send({ type: 'weights', step: 1, values: 64 * 2 ** 16, bytes });
      for (let chunk = 1; chunk < 64; chunk++) coordinator.send({ type: 'chunk', at: chunk * 2 ** 16, bytes });
      coordinator.send(ping(1));
      expect(coordinator.bufferedBytes).toBeGreaterThan(2 ** 22);
      await atWorker.messageCount(65);
      const places = atWorker.messages.map((message) =>
        message.type === 'chunk' ? message.at / 2 ** 16 : message.type,
      );
      const chunks = Array.from({ length: 63 }, (_, index) => index + 1);
      expect(places.filter((place) => place !== 'ping')).toEqual(['weights', ...chunks]);
      expect(places.indexOf('ping')).toBeLessThan(60);
    });

    it('drops the chunks that wait when it closes', async () => {
      const { coordinator, atWorker } = await joined();
      const bytes = new Uint8Array(2 ** 18);
      for (let chunk = 1; chunk <= 64; chunk++) coordinator.send({ type: 'chunk', at: chunk, bytes });
      coordinator.close(1000, 'over');
      expect(await atWorker.closing()).toMatchObject({ code: 1000, by: 'remote' });
      expect(atWorker.messages.length).toBeLessThan(64);
    });

    it('takes one listener', async () => {
      const { worker } = await joined();
      expect(() => new Recorder(worker)).toThrow('transport: expected one listener, got a second one');
    });

    it('delivers nothing from inside send, close or listen', async () => {
      const { coordinator, worker } = await open();
      let isInside = true;
      const deliveredInside: string[] = [];
      const atCoordinator = new Promise<void>((resolve) => {
        coordinator.listen({
          onMessage: ({ type }) => isInside && deliveredInside.push(type),
          onClose: () => {
            if (isInside) deliveredInside.push('close');
            resolve();
          },
        });
      });
      worker.send(ping(1));
      coordinator.close(1000, 'enough');
      const atWorker = new Recorder(worker);
      isInside = false;
      await atCoordinator;
      await atWorker.closing();
      expect(deliveredInside).toEqual([]);
    });

    it('delivers what was sent before a close, then the close, to the peer', async () => {
      const { coordinator, atCoordinator, atWorker } = await joined();
      coordinator.send({ type: 'finish', message: 'all done' });
      coordinator.close(1001, 'the run is over');
      expect(await atWorker.closing()).toEqual({ code: 1001, reason: 'the run is over', by: 'remote' });
      expect(await atCoordinator.closing()).toEqual({ code: 1001, reason: 'the run is over', by: 'local' });
      expect(atWorker.messages).toEqual([{ type: 'finish', message: 'all done' }]);
    });

    it('delivers nothing after its own close, and ends once', async () => {
      const { coordinator, worker, atCoordinator, atWorker } = await joined();
      worker.send(ping(1));
      coordinator.close(1000, 'first');
      coordinator.close(1001, 'second');
      coordinator.send(ping(2));
      worker.send(ping(3));
      await atWorker.closing();
      worker.send(ping(4));
      worker.close(1000, 'too late');
      expect(await atCoordinator.closing()).toEqual({ code: 1000, reason: 'first', by: 'local' });
      for (const { messages, closings } of [atCoordinator, atWorker]) {
        expect(messages).toEqual([]);
        expect(closings).toHaveLength(1);
      }
    });

    it('lets a listener close in the middle of a burst', async () => {
      const { coordinator, worker } = await open();
      const received: number[] = [];
      const closing = new Promise<Closing>((resolve) => {
        coordinator.listen({
          onMessage: (message) => {
            if (message.type !== 'ping') return;
            received.push(message.sentAtMs);
            if (message.sentAtMs === 2) coordinator.close(1000, 'received enough');
          },
          onClose: resolve,
        });
      });
      for (let index = 0; index < 10; index += 1) worker.send(ping(index));
      expect((await closing).by).toBe('local');
      expect(received).toEqual([0, 1, 2]);
    });

    it('cuts any reason to a length that fits', async () => {
      const { coordinator, atWorker } = await joined();
      coordinator.close(1000, `first line\nsecond line ${'ä€😀'.repeat(100)}`);
      const { code, reason } = await atWorker.closing();
      expect(code).toBe(1000);
      expect(reason).toMatch(/^first line second line (ä€😀)*/);
    });

    it('has nothing buffered once everything has arrived', async () => {
      const { coordinator, worker, atCoordinator, atWorker } = await joined();
      let sent = 0;
      for (; coordinator.bufferedBytes === 0 && sent < 500; sent++) {
        coordinator.send({ type: 'weights', step: sent, bytes: new Uint8Array(100_000) });
      }
      expect(coordinator.bufferedBytes).toBeGreaterThan(0);
      await atWorker.messageCount(sent);
      worker.send(ping(1));
      await atCoordinator.messageCount(1);
      expect(coordinator.bufferedBytes).toBe(0);
    });

    const itChecks = it.skipIf(unchecked !== undefined);
    const note = unchecked ? ` (skipped: ${unchecked})` : '';

    itChecks(`ends, from this end and alone, on a message that fails its checks${note}`, async () => {
      const [bad, good] = [await joined(), await joined()];
      bad.worker.send({ type: 'taskError', step: 0, lo: 1, n: 2, code: 'failed', message: 'misaligned' });
      bad.worker.send(ping(1));
      const reason = 'taskError: expected a shard with n a power of two and lo a multiple of n, got step 0, lo 1, n 2';
      expect(await bad.atCoordinator.closing()).toEqual({ code: 1002, reason, by: 'local' });
      expect(await bad.atWorker.closing()).toEqual({ code: 1002, reason, by: 'remote' });
      expect(bad.atCoordinator.messages).toEqual([]);
      good.worker.send(ping(2));
      await good.atCoordinator.messageCount(1);
      expect(good.atCoordinator.closings).toEqual([]);
    });

    itChecks(`ends on a message the peer may not send${note}`, async () => {
      const { worker, atCoordinator } = await joined();
      worker.send({ type: 'finish', message: 'the run has finished' } as unknown as WorkerMessage);
      const reason = 'finish: expected it from the coordinator, got it from the worker';
      expect(await atCoordinator.closing()).toMatchObject({ code: 1002, reason });
    });
  });
}
