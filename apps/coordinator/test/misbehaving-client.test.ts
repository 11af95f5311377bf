import { chunkChecksum, encode, gradientChecksum, type MessageOf, type WorkerMessage } from '@lockstep/protocol';
import { randomStream } from '@lockstep/tensor';
import type { Report } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { type DashboardServer, openServer } from '../../../packages/server/test/dashboard-server.ts';
import {
  handshake,
  hello,
  joinAsWorker,
  openRawClient,
  openTcpClient,
  type RawClient,
} from '../../../packages/server/test/raw-client.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
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
  readonly server: DashboardServer;
  /** Resumes the worker: the run must end with the weights of a single process. */
  end(): Promise<Report>;
}

/** A run whose only worker is stopped in the middle of a step. */
async function stopInTheMiddle(handshakeMs?: number): Promise<StoppedRun> {
  let reached: () => void;
  const middle = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const server = await openServer({
    args,
    limits: { ...limits, ...(handshakeMs !== undefined && { handshakeMs }) },
    startWorkers: 1,
    onStep({ step }) {
      if (step !== steps / 2) return;
      worker.kill('SIGSTOP');
      reached();
    },
  });
  const worker = startWorker(['--url', server.ws, '--name', 'honest']);
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
      expect(await server.run.outcome).toEqual({ type: 'finished' });
      const report = server.report();
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.workers[0]).toMatchObject({ name: 'honest', shards: expect.any(Number) });
      expect(report.workers.slice(1).map(({ shards }) => shards)).toEqual(report.workers.slice(1).map(() => 0));
      const { stderr } = await worker.ended;
      expect(stderr).toMatch(
        /^worker honest: joined as w1, .*\n(?:worker honest: step .*\n)*worker honest: the run has finished\n$/,
      );
      await server.close();
      return report;
    },
  };
}

type Faults = Pick<Report['faults'], 'rejected' | 'disconnects'>;

/** Lets a client misbehave; the run's counts of `rejected` and `disconnects` must grow only by this client's. */
async function during<Ended>({ server }: StoppedRun, faults: Faults, misbehave: (url: string) => Promise<Ended>) {
  const before = server.report().faults;
  const ended = await misbehave(server.ws);
  const after = { rejected: before.rejected + faults.rejected, disconnects: before.disconnects + faults.disconnects };
  expect(server.report().faults).toMatchObject(after);
  return ended;
}

const random = randomStream(1);

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

  const flood = /^flood: expected hello and nothing else before the welcome, got more$/;
  const send =
    (...messages: WorkerMessage[]) =>
    (client: RawClient) =>
      messages.forEach(client.send);
  const sendFrame = (frame: Uint8Array | string) => (client: RawClient) => client.sendFrame(frame);
  const check = {
    gradient: new Uint8Array(4 * parameters),
    hash: '0'.repeat(64),
    lossSum: 1,
    correct: 0,
    computeMs: 1,
  };
  /** How far a client goes before it misbehaves. */
  const stages = { connected: async () => {}, greeted: handshake, joined: joinAsWorker } as const;

  it.each<
    [stage: keyof typeof stages, name: string, misbehave: (client: RawClient) => void, code: number, reason: RegExp]
  >([
    ['connected', 'a text frame', sendFrame('hello'), 1003, /^frame: expected binary, got text$/],
    ['connected', 'an empty frame', sendFrame(new Uint8Array(0)), 1002, /^frame: expected a complete value/],
    [
      'connected',
      'random bytes',
      sendFrame(Uint8Array.from({ length: 4_096 }, () => 256 * random())),
      1002,
      /^frame: expected /,
    ],
    [
      'connected',
      'bytes that claim to be a GiB',
      sendFrame(hugeClaim()),
      1002,
      /^frame: expected 1073741850 bytes from its headers, got 26 bytes$/,
    ],
    ['connected', 'half a message', sendFrame(encode(hello).subarray(0, 40)), 1002, /^frame: expected /],
    ['connected', 'a frame above the limit', sendFrame(new Uint8Array(4 * parameters + 2 ** 17)), 1008, /^flood: /],
    [
      'connected',
      "a coordinator's message",
      sendFrame(encode({ type: 'finish', message: 'go home' })),
      1002,
      /^finish: expected it from the coordinator, got it from the worker$/,
    ],
    ['connected', 'a gradient', send(gradient()[0]), 1008, flood],
    ['connected', 'a ping', send({ type: 'ping', sentAtMs: 1 }), 1002, /^protocol: ping before hello$/],
    ['connected', 'a numerics check result', send({ type: 'numericsResult', ...check }), 1008, flood],
    ['greeted', 'a second hello', send(hello), 1002, /^protocol: a second hello$/],
    ['greeted', 'a gradient', send(...gradient()), 1002, /^protocol: a gradient before the numerics check$/],
    [
      'joined',
      'too few numbers',
      send(...gradient({ bytes: new Uint8Array(4 * (firstChunk - 1)) })),
      1002,
      /^gradient: expected 262144 bytes, got 262140$/,
    ],
    // The WebSocket layer refuses it by its header, without a reason.
    ['joined', 'a frame above a chunk', send(gradient({ bytes: new Uint8Array(4 * parameters) })[0]), 1009, /^$/],
    ['joined', 'a lone chunk', send(gradient()[1]), 1002, /^chunk: expected a vector that it is part of, got none$/],
    [
      'joined',
      'a wrong checksum',
      send(...gradient({ checksum: 1 })),
      1002,
      /^gradient: expected checksum \d+, got 1$/,
    ],
    ['joined', 'a wrong count', send(...gradient({ count: 15 })), 1002, /^gradient: expected 16 samples, got 15$/],
    [
      'joined',
      'a shard outside the tree',
      send(...gradient({ lo: 64, n: 64 })),
      1002,
      /^gradient: expected microbatches below 2, got 64 to 127$/,
    ],
    [
      'joined',
      'a step past the last',
      send(...gradient({ step: steps })),
      1002,
      /^gradient: expected a step below 40, got 40$/,
    ],
    [
      'joined',
      'a step to come',
      send(...gradient({ step: steps - 1 })),
      1002,
      /^protocol: a gradient of step 39, whose weights it was not sent$/,
    ],
  ])('that has %s and sends %s is closed', async (stage, _name, misbehave, code, reason) => {
    const disconnects = stage === 'joined' ? 1 : 0;
    const closed = await during(run, { rejected: 1, disconnects }, async (url) => {
      const client = await openRawClient(url);
      await stages[stage](client);
      misbehave(client);
      return client.closed;
    });
    expect(closed).toEqual({ code, reason: expect.stringMatching(reason) });
  });

  it('that announces a frame of a GiB is closed before any of it has come', async () => {
    const closed = await during(run, { rejected: 1, disconnects: 0 }, async (url) => {
      const client = await openTcpClient(url);
      const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
      header.writeBigUInt64BE(BigInt(gibibyte), 2);
      client.write(header);
      return client.closed;
    });
    expect(closed.code).toBe(1009);
  });

  it('and the run goes on to the weights of a single process', async () => {
    const { faults } = await run.end();
    expect(faults.rejected).toBeGreaterThan(20);
  });

  it('that begins a frame and falls silent is closed at the deadline of the handshake, and the run goes on', async () => {
    const silent = await stopInTheMiddle(300);
    const closed = await during(silent, { rejected: 0, disconnects: 0 }, async (url) => {
      const client = await openTcpClient(url);
      client.write(Uint8Array.from([0x82, 0x80 + 100, 1, 2, 3, 4, 5, 6, 7, 8]));
      return client.closed;
    });
    expect(closed).toEqual({ code: 1008, reason: 'no hello within 0.3 s' });
    await silent.end();
  });
});
