/** `join` as a program uses it, in the process of the run. */
import { type JoinOptions, join, type WorkerEvent } from '@lockstep/worker';
import { describe, expect, it } from 'vitest';
import { WorkerLines } from '../../../apps/worker/src/worker-lines.ts';
import { joinComputing } from '../../worker/src/join.ts';
import type { TrainOptions } from '../src/index.ts';
import { hashAlone, openRun, tiny } from './open-run.ts';

const open = (options: TrainOptions = {}) => openRun({ ...tiny, ...options });

describe('a worker that joins', () => {
  it('says what happens until the run is over, whose weights are those of one process', async () => {
    const { run, url } = await open();
    const worker = join(url, { name: 'guest' });
    const events: WorkerEvent[] = [];
    for await (const event of worker) events.push(event);
    expect([...new Set(events.map(({ type }) => type))]).toEqual(['opened', 'joined', 'ready', 'computed']);
    expect(await worker.done).toEqual({ type: 'finished', message: 'the run has finished' });
    const { report } = await run.result;
    const last = events.findLast((event) => event.type === 'computed');
    expect(last).toMatchObject({ step: 18, samples: expect.any(Number) });
    expect(report.workers).toMatchObject([{ name: 'guest', backend: 'cpu' }]);
    expect(report.weightsSha256).toBe(await hashAlone(tiny));
  });

  it('is one of several, one of which leaves', async () => {
    const { run, url } = await open({ epochs: 40 });
    const guest = join(url, { name: 'guest' });
    for await (const { type } of guest) if (type === 'computed') break;
    const helper = join(url, { name: 'helper' });
    for await (const { type } of helper) if (type === 'ready') break;
    await guest.leave();
    expect((await guest.done).type).toBe('left');
    expect((await helper.done).type).toBe('finished');
    const { report } = await run.result;
    expect(report.weightsSha256).toBe(await hashAlone({ ...tiny, epochs: 40 }));
  });

  it('leaves where its signal is aborted, also before it has joined', async () => {
    const { url } = await open({ epochs: 1_000 });
    expect((await join(url, { signal: AbortSignal.abort() }).done).type).toBe('left');
  });

  it('says so if it opens what computes for long, and not if that is refused at once', async () => {
    let refuse = (_: Error): void => {};
    const opening = new Promise<never>((_, reject) => {
      refuse = reject;
    });
    const slow = joinComputing('ws://127.0.0.1:1', { backend: 'webgpu' }, opening);
    const events: WorkerEvent[] = [];
    await expect(async () => {
      for await (const event of slow) {
        events.push(event);
        refuse(new Error('there is none here'));
      }
    }).rejects.toMatchObject({ name: 'ConfigurationError' });
    expect(events).toEqual([{ type: 'opening', backend: 'webgpu' }]);
    expect(new WorkerLines(1).of(events[0]!, 0)).toEqual(['opening webgpu, which can take a minute']);
    const quick = joinComputing('ws://127.0.0.1:1', { backend: 'webgpu' }, Promise.reject(new Error('none')));
    await expect(async () => {
      for await (const event of quick) events.push(event);
    }).rejects.toMatchObject({ name: 'ConfigurationError' });
    expect(events).toHaveLength(1);
  });

  const line = 'name: expected one line of 1 to 80 printable characters, got';
  it.each<[options: object, message: string, url?: string]>([
    [{}, 'url: expected an address like ws://127.0.0.1:7070, got ftp://127.0.0.1', 'ftp://127.0.0.1'],
    [{ backend: 'abacus' }, 'backend: expected one of auto, cpu'],
    [{ backend: 'reference', threads: 2 }, 'threads: expected 1 with backend reference'],
    [{ threads: 0 }, 'threads: expected a whole number from 1 to 256, got 0'],
    [{ signal: 1 }, 'signal: expected an AbortSignal, got 1'],
    [{ name: '😀'.repeat(41) }, `${line} "😀`],
    [{ name: '' }, `${line} ""`],
  ])('with a wrong option is refused in one sentence: %j', async (options, message, url = 'ws://127.0.0.1:1') => {
    const error = await join(url, options as JoinOptions).done.catch((reason: Error) => reason);
    expect(error).toMatchObject({ name: 'ConfigurationError' });
    expect((error as Error).message.startsWith(message), (error as Error).message).toBe(true);
  });
});
