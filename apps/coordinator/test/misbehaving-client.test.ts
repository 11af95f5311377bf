import { chunkChecksum, encode, gradientChecksum, type MessageOf } from '@lockstep/protocol';
import type { Report } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import type { Closed } from '../../../packages/train/test/inbox.ts';
import {
  handshake,
  hello,
  joinAsWorker,
  openRawClient,
  openTcpClient,
  type RawClient,
} from '../../../packages/train/test/raw-client.ts';
import { openTestServer, type TestServer } from '../../../packages/train/test/test-server.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runToReport, share, startWorker } from './processes.ts';

const parameters = 101_770;
/** A vector has two chunks, the first with this number of values. */
const firstChunk = 65_536;
const chunkBytes = 4 * firstChunk;
const steps = 40;
const gibibyte = 2 ** 30;
const folder = temporaryFolder();
const args = [...(await tinyArgs(folder)), '--epochs', '100', '--steps', `${steps}`];
const { report: expected } = await runToReport(folder, [...args, '--single']);

/** A gradient of one microbatch of step 0, in two messages, valid except for the changes to the first. */
function gradient(changes: Partial<MessageOf<'gradient'>> = {}): [MessageOf<'gradient'>, MessageOf<'chunk'>] {
  const bytes = changes.bytes ?? new Uint8Array(4 * firstChunk);
  const sum = { step: 0, lo: 0, n: 1, lossSum: 1, correct: 0, count: 16, ...changes, bytes };
  const rest = { at: firstChunk, bytes: new Uint8Array(4 * (parameters - firstChunk)) };
  return [
    { type: 'gradient', computeMs: 1, values: parameters, checksum: gradientChecksum(sum), ...sum },
    { type: 'chunk', ...rest, checksum: chunkChecksum(rest) },
  ];
}

const patience = 600_000;
/** Long deadlines, so that a stopped worker counts as neither late nor dead. */
const limits = { chunkBytes, softDeadlineMs: patience, hardDeadlineMs: patience, deadMs: patience };

interface StoppedRun {
  readonly server: TestServer;
  /** Resumes the worker: the run must end with the weights of a single process. */
  end(): Promise<Report>;
}

/** A run whose only worker is stopped in the middle of a step. */
async function stopInTheMiddle(handshakeMs?: number): Promise<StoppedRun> {
  let reached: () => void;
  const middle = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const server = await openTestServer({
    args,
    limits: { ...limits, ...(handshakeMs !== undefined && { handshakeMs }) },
    startWorkers: 1,
    onStep({ step }) {
      if (step !== steps / 2) return;
      worker.kill('SIGSTOP');
      reached();
    },
  });
  const worker = startWorker(['--url', server.url, '--name', 'honest']);
  share(worker);
  const early = worker.ended.then(({ stderr }) => {
    throw new Error(`expected a worker that computes, but it ended: ${stderr}`);
  });
  await Promise.race([middle, early]);
  early.catch(() => {});
  return {
    server,
    async end() {
      worker.kill('SIGCONT');
      expect(await server.outcome).toEqual({ type: 'finished' });
      const report = server.report();
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.workers[0]).toMatchObject({ name: 'honest', shards: expect.any(Number) });
      expect(report.workers.slice(1).map(({ shards }) => shards)).toEqual(report.workers.slice(1).map(() => 0));
      const { stderr } = await worker.ended;
      expect(stderr).toMatch(
        /^worker honest: joined as w1, .*\n(?:worker honest: step .*\n)*worker honest: the run is finished\n$/,
      );
      await server.close();
      return report;
    },
  };
}

/** Lets a client misbehave; the run's counts of `rejected` and `disconnects` must grow only by this client's. */
async function during(
  { server }: StoppedRun,
  misbehave: (url: string) => Promise<Closed>,
  { rejected, disconnects }: Pick<Report['faults'], 'rejected' | 'disconnects'>,
): Promise<Closed> {
  const before = server.report().faults;
  const closed = await misbehave(server.url);
  const after = { rejected: before.rejected + rejected, disconnects: before.disconnects + disconnects };
  expect(server.report().faults).toMatchObject(after);
  return closed;
}

const random = (count: number): Uint8Array => {
  let state = 1;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
};

/** A msgpack map of two entries, whose second value claims to be 1 GiB of bytes but is empty. */
const hugeClaim = (): Uint8Array => {
  const key = (text: string) => [0xa0 + text.length, ...Buffer.from(text)];
  return Uint8Array.from([0x82, ...key('type'), ...key('gradient'), ...key('bytes'), 0xc6, 0x40, 0, 0, 0]);
};

describe('a client', () => {
  let run: StoppedRun;
  beforeAll(async () => {
    run = await stopInTheMiddle();
  });

  it.each<[name: string, misbehave: (client: RawClient) => void, code: number, reason: RegExp]>([
    ['a text frame', (client) => client.sendFrame('hello'), 1003, /^frame: expected binary, got text$/],
    ['an empty frame', (client) => client.sendFrame(new Uint8Array(0)), 1002, /^frame: expected a complete value/],
    ['random bytes', (client) => client.sendFrame(random(4096)), 1002, /^frame: expected /],
    [
      'bytes that claim to be a GiB',
      (client) => client.sendFrame(hugeClaim()),
      1002,
      /^frame: expected 1073741850 bytes from its headers, got 26 bytes$/,
    ],
    ['half a message', (client) => client.sendFrame(encode(hello).subarray(0, 40)), 1002, /^frame: expected /],
    [
      'a frame above the limit',
      (client) => client.sendFrame(new Uint8Array(4 * parameters + 2 ** 17)),
      1008,
      /^flood: /,
    ],
    [
      "a coordinator's message",
      (client) => client.sendFrame(encode({ type: 'finish', message: 'go home' })),
      1002,
      /^finish: expected it from the coordinator, got it from the worker$/,
    ],
    [
      'a gradient before hello',
      (client) => client.send(gradient()[0]),
      1008,
      /^flood: expected hello and nothing else before the welcome, got more$/,
    ],
    [
      'a ping before hello',
      (client) => client.send({ type: 'ping', sentAtMs: 1 }),
      1002,
      /^protocol: ping before hello$/,
    ],
    [
      'a numerics check result before hello',
      (client) =>
        client.send({
          type: 'numericsResult',
          gradient: new Uint8Array(4 * parameters),
          hash: '0'.repeat(64),
          lossSum: 1,
          correct: 0,
          computeMs: 1,
        }),
      1008,
      /^flood: expected hello and nothing else before the welcome, got more$/,
    ],
  ])('that sends %s is closed', async (_name, misbehave, code, reason) => {
    const closed = await during(
      run,
      async (url) => {
        const client = await openRawClient(url);
        misbehave(client);
        return client.closed;
      },
      { rejected: 1, disconnects: 0 },
    );
    expect(closed.code).toBe(code);
    expect(closed.reason).toMatch(reason);
  });

  it.each<[name: string, misbehave: (client: RawClient) => void, reason: RegExp]>([
    ['a second hello', (client) => client.send(hello), /^protocol: a second hello$/],
    [
      'a gradient before the numerics check',
      (client) => gradient().forEach(client.send),
      /^protocol: a gradient before the numerics check$/,
    ],
  ])('that has sent hello and sends %s is closed', async (_name, misbehave, reason) => {
    const closed = await during(
      run,
      async (url) => {
        const client = await openRawClient(url);
        await handshake(client);
        misbehave(client);
        return client.closed;
      },
      { rejected: 1, disconnects: 0 },
    );
    expect(closed.code).toBe(1002);
    expect(closed.reason).toMatch(reason);
  });

  it.each<[name: string, messages: () => MessageOf<'gradient' | 'chunk'>[], reason: RegExp]>([
    [
      'a gradient of one number too few',
      () => gradient({ bytes: new Uint8Array(4 * (firstChunk - 1)) }),
      /^gradient: expected 262144 bytes, got 262140$/,
    ],
    // The WebSocket layer refuses it by its header, without a reason.
    ['a frame that is longer than a chunk', () => [gradient({ bytes: new Uint8Array(4 * parameters) })[0]], /^$/],
    ['a chunk of nothing', () => [gradient()[1]], /^chunk: expected a vector that it is part of, got none$/],
    ['a wrong checksum', () => gradient({ checksum: 1 }), /^gradient: expected checksum \d+, got 1$/],
    ['a wrong count', () => gradient({ count: 15 }), /^gradient: expected 16 samples, got 15$/],
    [
      'a shard outside the tree',
      () => gradient({ lo: 64, n: 64 }),
      /^gradient: expected microbatches below 2, got 64 to 127$/,
    ],
    ['a step past the last', () => gradient({ step: steps }), /^gradient: expected a step below 40, got 40$/],
    [
      'a step to come',
      () => gradient({ step: steps - 1 }),
      /^protocol: a gradient of step 39, whose weights it was not sent$/,
    ],
  ])('that has joined and sends %s is closed', async (_name, messages, reason) => {
    const closed = await during(
      run,
      async (url) => {
        const client = await openRawClient(url);
        await joinAsWorker(client);
        for (const message of messages()) client.send(message);
        return client.closed;
      },
      { rejected: 1, disconnects: 1 },
    );
    expect([1002, 1009]).toContain(closed.code);
    expect(closed.reason).toMatch(reason);
  });

  it('that announces a frame of a GiB is closed before any of it has come', async () => {
    const closed = await during(
      run,
      async (url) => {
        const client = await openTcpClient(url);
        const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        header.writeBigUInt64BE(BigInt(gibibyte), 2);
        client.write(header);
        return client.closed;
      },
      { rejected: 1, disconnects: 0 },
    );
    expect(closed.code).toBe(1009);
  });

  it('and the run goes on to the weights of a single process', async () => {
    const { faults } = await run.end();
    expect(faults.rejected).toBeGreaterThan(20);
  });

  it('that begins a frame and falls silent is closed at the deadline of the handshake, and the run goes on', async () => {
    const silent = await stopInTheMiddle(300);
    const closed = await during(
      silent,
      async (url) => {
        const client = await openTcpClient(url);
        client.write(Uint8Array.from([0x82, 0x80 + 100, 1, 2, 3, 4, 5, 6, 7, 8]));
        return client.closed;
      },
      { rejected: 0, disconnects: 0 },
    );
    expect(closed).toEqual({ code: 1008, reason: 'no hello within 0.3 s' });
    await silent.end();
  });
});
