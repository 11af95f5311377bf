import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode, type MessageOf, openChecksum } from '@lockstep/protocol';
import type { Report } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from './folder.ts';
import { startCoordinator, startWorker } from './processes.ts';
import { openRoom, type RoomOptions } from './room.ts';
import { type Closed, greet, hello, joinAsWorker, openRawStranger, openStranger, type Stranger } from './stranger.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';

const parameters = 101_770;
const steps = 40;
const gibibyte = 2 ** 30;
const folder = temporaryFolder();
let args: string[] = [];
let expectedSha256 = '';
let sealed: (changes?: Partial<MessageOf<'gradient'>>) => MessageOf<'gradient'>;

beforeAll(async () => {
  const tiny = await writeFolder(folder, 'tiny', tinyFiles());
  args = ['--data', tiny, '--batch', '32', '--epochs', '100', '--steps', `${steps}`];
  const file = join(folder, 'single.json');
  await startCoordinator('start', [...args, '--single', '--report', file]).ended;
  expectedSha256 = (JSON.parse(readFileSync(file, 'utf8')) as Report).weightsSha256;

  const checksum = await openChecksum();
  sealed = (changes = {}) => {
    const bytes = changes.bytes ?? new Uint8Array(4 * parameters);
    const numbers = { lossSum: 1, correct: 0, count: 16, computeMs: 1 };
    const shard = { step: 0, lo: 0, n: 1 };
    return { type: 'gradient', ...shard, bytes, checksum: checksum(bytes), ...numbers, ...changes };
  };
});

/**
 * A run of real workers is stopped in the middle of a step, meets a stranger, and goes on. It must end with the weights
 * of a single process; `rejected` and `disconnects` count the stranger and nobody else.
 */
async function meet(
  stranger: (url: string) => Promise<Closed>,
  { rejected, disconnects }: Partial<Report['faults']>,
  limits: RoomOptions['limits'] = {},
): Promise<Closed> {
  let reached: () => void;
  const middle = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const room = await openRoom({
    args,
    limits,
    startWorkers: 1,
    onStep({ step }) {
      if (step !== steps / 2) return;
      worker.kill('SIGSTOP');
      reached();
    },
  });
  const worker = startWorker(['--url', room.url, '--name', 'honest']);
  try {
    const early = worker.ended.then(({ stderr }) => {
      throw new Error(`expected a worker that computes, but it ended: ${stderr}`);
    });
    await Promise.race([middle, early]);
    const closed = await stranger(room.url);
    worker.kill('SIGCONT');
    expect(await room.outcome).toEqual({ type: 'finished' });
    const report = room.report();
    expect(report.weightsSha256).toBe(expectedSha256);
    expect(report.faults).toMatchObject({ rejected, disconnects });
    expect(report.workers[0]).toMatchObject({ name: 'honest', shards: expect.any(Number) });
    expect(report.workers.slice(1).map(({ shards }) => shards)).toEqual(report.workers.slice(1).map(() => 0));
    expect((await worker.ended).stderr).toMatch(
      /^worker honest: joined as w1, .*\nworker honest: the run is finished\n$/,
    );
    return closed;
  } finally {
    worker.kill('SIGKILL');
    await room.close();
  }
}

const random = (count: number): Uint8Array => {
  let state = 1;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
};

/** A map of two, whose second value is bytes that claim to be a GiB and are none. */
const hugeClaim = (): Uint8Array => {
  const key = (text: string) => [0xa0 + text.length, ...Buffer.from(text)];
  return Uint8Array.from([0x82, ...key('type'), ...key('gradient'), ...key('bytes'), 0xc6, 0x40, 0, 0, 0]);
};

describe('a stranger to a run', () => {
  it.each<[name: string, speak: (stranger: Stranger) => void, code: number, reason: RegExp]>([
    ['a text frame', (stranger) => stranger.frame('hello'), 1003, /^frame: expected binary, got text$/],
    ['an empty frame', (stranger) => stranger.frame(new Uint8Array(0)), 1002, /^frame: expected a complete value/],
    ['random bytes', (stranger) => stranger.frame(random(4096)), 1002, /^frame: expected /],
    [
      'bytes that claim to be a GiB',
      (stranger) => stranger.frame(hugeClaim()),
      1002,
      /^frame: expected 1073741850 bytes from its headers, got 26 bytes$/,
    ],
    ['half a message', (stranger) => stranger.frame(encode(hello).subarray(0, 40)), 1002, /^frame: expected /],
    ['a frame above the limit', (stranger) => stranger.frame(new Uint8Array(4 * parameters + 2 ** 17)), 1009, /^$/],
    [
      "a coordinator's message",
      (stranger) => stranger.frame(encode({ type: 'finish', message: 'go home' })),
      1002,
      /^finish: expected it from the coordinator, got it from the worker$/,
    ],
    [
      'a gradient before hello',
      (stranger) => stranger.say(sealed()),
      1002,
      /^protocol: a gradient before the numerics check$/,
    ],
    [
      'a numerics check result before hello',
      (stranger) =>
        stranger.say({
          type: 'numericsResult',
          gradient: new Uint8Array(4 * parameters),
          hash: '0'.repeat(64),
          lossSum: 1,
          correct: 0,
          computeMs: 1,
        }),
      1008,
      /^numerics check: |probe/,
    ],
  ])('who sends %s is closed, and nobody else', async (_name, speak, code, reason) => {
    const closed = await meet(
      async (url) => {
        const stranger = await openStranger(url);
        speak(stranger);
        return stranger.closed;
      },
      { rejected: 1, disconnects: 0 },
    );
    expect(closed.code).toBe(code);
    expect(closed.reason).toMatch(reason);
  });

  it.each<[name: string, speak: (stranger: Stranger) => void, reason: RegExp]>([
    ['a second hello', (stranger) => stranger.say(hello), /^protocol: a second hello$/],
    [
      'a gradient before the numerics check',
      (stranger) => stranger.say(sealed()),
      /^protocol: a gradient before the numerics check$/,
    ],
  ])('who has said hello and sends %s is closed, and nobody else', async (_name, speak, reason) => {
    const closed = await meet(
      async (url) => {
        const stranger = await openStranger(url);
        await greet(stranger);
        speak(stranger);
        return stranger.closed;
      },
      { rejected: 1, disconnects: 0 },
    );
    expect(closed.code).toBe(1002);
    expect(closed.reason).toMatch(reason);
  });

  it.each<[name: string, gradient: () => MessageOf<'gradient'>, reason: RegExp]>([
    [
      'a gradient of one number too few',
      () => sealed({ bytes: new Uint8Array(4 * (parameters - 1)) }),
      /^gradient: expected 407080 bytes, got 407076$/,
    ],
    ['a wrong checksum', () => sealed({ checksum: 1 }), /^gradient: expected checksum \d+, got 1$/],
    ['a wrong count', () => sealed({ count: 15 }), /^gradient: expected 16 samples, got 15$/],
    [
      'a shard outside the tree',
      () => sealed({ lo: 64, n: 64 }),
      /^gradient: expected microbatches below 2, got 64 to 127$/,
    ],
    ['a step past the last', () => sealed({ step: steps }), /^gradient: expected a step below 40, got 40$/],
    [
      'a step to come',
      () => sealed({ step: steps - 1 }),
      /^protocol: a gradient of step 39, whose weights it was not sent$/,
    ],
  ])('who has joined and sends %s is closed, and nobody else', async (_name, gradient, reason) => {
    const closed = await meet(
      async (url) => {
        const stranger = await openStranger(url);
        await joinAsWorker(stranger);
        stranger.say(gradient());
        return stranger.closed;
      },
      { rejected: 1, disconnects: 1 },
    );
    expect(closed.code).toBe(1002);
    expect(closed.reason).toMatch(reason);
  });

  it('who announces a frame of a GiB is closed before there is room made for it', async () => {
    let grownBytes = Number.NaN;
    const closed = await meet(
      async (url) => {
        const stranger = await openRawStranger(url);
        const before = process.memoryUsage().rss;
        const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        header.writeBigUInt64BE(BigInt(gibibyte), 2);
        stranger.write(header);
        const closing = await stranger.closed;
        grownBytes = process.memoryUsage().rss - before;
        return closing;
      },
      { rejected: 1, disconnects: 0 },
    );
    expect(closed.code).toBe(1009);
    expect(grownBytes).toBeLessThan(64 * 2 ** 20);
  });

  it('who begins a frame and falls silent is closed when its time is up', async () => {
    const closed = await meet(
      async (url) => {
        const stranger = await openRawStranger(url);
        stranger.write(Uint8Array.from([0x82, 0x80 + 100, 1, 2, 3, 4, 5, 6, 7, 8]));
        return stranger.closed;
      },
      { rejected: 0, disconnects: 0 },
      { handshakeMs: 300 },
    );
    expect(closed).toEqual({ code: 1008, reason: 'no hello within 0.3 s' });
  });

  it('who asks for a page gets a sentence', async () => {
    await meet(
      async (url) => {
        const response = await fetch(url.replace('ws:', 'http:'));
        expect(response.status).toBe(426);
        expect(await response.text()).toMatch(
          /^This is a Lockstep coordinator\. Join it with: npm run worker -- --url /,
        );
        return { code: 1000, reason: '' };
      },
      { rejected: 0, disconnects: 0 },
    );
  });
});
