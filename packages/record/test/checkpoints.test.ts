/** Checkpoints of a run: the folder on a real file system, the choice to resume from, when copies are due and written. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { parseOptions } from '@lockstep/command';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runOptions } from '../../prepare/src/option-table.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import {
  type Checkpoint,
  decodeCheckpoint,
  defaultInterval,
  encodeCheckpoint,
  type StoredCheckpoint,
} from '../src/checkpoint.ts';
import {
  CheckpointClock,
  Checkpointer,
  type CheckpointerOptions,
  CheckpointFolder,
  chooseCheckpoint,
  intervalText,
  newRunName,
} from '../src/checkpoints.ts';
import { sha256 } from '../src/sha256.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

const root = temporaryFolder();
const [earlier, later, afterwards] = ['20260101000000000', '20260102030405678', '20270101000000999'];

async function open(name: string): Promise<{ folder: string; store: CheckpointFolder }> {
  const folder = join(root, name);
  await mkdir(folder);
  return { folder, store: new CheckpointFolder(folder) };
}

const bytes = (value: number): Uint8Array => Uint8Array.of(value, value);
const listed = async (store: CheckpointFolder) => (await store.list()).map(({ run, step }) => [run, step]);

describe('a folder of checkpoints', () => {
  it('keeps the last three of a run, the newest first, and leaves no part behind', async () => {
    const { folder, store } = await open('three');
    for (const step of [50, 100, 150, 1_000]) await store.write(later, step, bytes(step % 251));
    const expected = [1_000, 150, 100].map((step) => `checkpoint-${later}-${`${step}`.padStart(9, '0')}.safetensors`);
    const found = await store.list();
    expect(found.map(({ name }) => name)).toEqual(expected);
    expect((await readdir(folder)).sort()).toEqual([...expected].sort());
    expect(found[0]).toMatchObject({ run: later, step: 1_000 });
    expect([...(await found[0]!.read())]).toEqual([...bytes(1_000 % 251)]);
  });

  it('lists the checkpoints of an earlier run after those of a later one, and never removes them', async () => {
    const { store } = await open('two-runs');
    await store.write(earlier, 900, bytes(1));
    // Steps are ordered as numbers, however many digits they have.
    for (const step of [1, 2, 999_999_999, 1_000_000_000]) await store.write(later, step, bytes(2));
    const own = [1_000_000_000, 999_999_999, 2].map((step) => [later, step]);
    expect(await listed(store)).toEqual([...own, [earlier, 900]]);
  });

  it('removes the checkpoints of later steps of a run that went back, and none of other runs', async () => {
    const { store } = await open('back');
    await store.write(earlier, 900, bytes(1));
    for (const step of [10, 20, 30]) await store.write(later, step, bytes(2));
    await store.removeAfter(later, 19);
    expect(await listed(store)).toEqual([
      [later, 10],
      [earlier, 900],
    ]);
  });

  it('ignores files of other names, and removes the part that a process of this run left', async () => {
    const { folder, store } = await open('others');
    const part = (run: string): string => `checkpoint-${run}-000000001.safetensors.part`;
    for (const name of ['notes.txt', part(earlier), part(later)]) await writeFile(join(folder, name), 'x');
    expect(await store.list()).toEqual([]);
    const name = await store.write(later, 2, bytes(1));
    expect((await readdir(folder)).sort()).toEqual([part(earlier), name, 'notes.txt']);
  });

  it.runIf(process.platform !== 'win32')('does not list a pipe, which would be read forever', async () => {
    const { folder, store } = await open('pipe');
    execFileSync('mkfifo', [join(folder, `checkpoint-${later}-000000009.safetensors`)]);
    await store.write(later, 1, bytes(1));
    expect(await listed(store)).toEqual([[later, 1]]);
  });

  it.runIf(process.platform !== 'win32')('refuses a link to a device, which would be read forever', async () => {
    const { folder, store } = await open('device');
    const name = `checkpoint-${later}-000000009.safetensors`;
    await symlink('/dev/zero', join(folder, name));
    const [device] = await store.list();
    await expect(device!.read()).rejects.toThrow(`${name}: expected a regular file, got a device`);
  });

  it('throws if it cannot write, and keeps what was there', async () => {
    const { folder, store } = await open('gone');
    await store.write(later, 1, bytes(1));
    // Blocks the path of the next partial file.
    await mkdir(join(folder, `checkpoint-${later}-000000002.safetensors.part`));
    await expect(store.write(later, 2, bytes(1))).rejects.toThrow('EISDIR');
    expect(await listed(store)).toEqual([[later, 1]]);
    await rm(folder, { recursive: true });
    await expect(store.write(later, 3, bytes(1))).rejects.toThrow('ENOENT');
  });

  it('gives a new run a name after its time and after every earlier run, even if the clock went back', () => {
    const now = new Date('2026-01-02T03:04:05.678Z');
    const after = (...runs: string[]) =>
      newRunName(
        runs.map((run) => ({ name: '', run, step: 1, read: async () => bytes(1) })),
        now,
      );
    expect([after(), after(earlier), after(afterwards, earlier)]).toEqual([later, later, '20270101000001000']);
  });
});

const { identity } = sampleCheckpoint;
const steps = 1_000;

async function stored(changes: Partial<Checkpoint> = {}, damage = (file: Uint8Array) => file) {
  const checkpoint = { ...sampleCheckpoint, ...changes };
  const file = damage(await encodeCheckpoint(checkpoint, sha256));
  const { step } = checkpoint;
  return { name: `step-${step}`, run: 'run', step, read: async () => file } satisfies StoredCheckpoint;
}

describe('the checkpoint to resume from', () => {
  it('is the newest', async () => {
    const { chosen, passedOver } = await chooseCheckpoint([await stored({ step: 9 }), await stored()], identity, steps);
    expect(chosen?.checkpoint.step).toBe(9);
    expect(passedOver).toEqual([]);
  });

  it.each<[what: string, one: () => Promise<StoredCheckpoint>, reason: RegExp]>([
    ['that is torn', () => stored({}, (file) => file.slice(0, -5)), /expected SHA-256 .*truncated or was changed/],
    [
      'that is empty',
      () => stored({}, () => new Uint8Array()),
      /expected a file in the format lockstep-checkpoint\.v1/,
    ],
    [
      'of another model',
      () => stored({ identity: { ...identity, model: { name: 'tiny', layers: [] } } }),
      /^it belongs to another run: expected model\.layers\.0 .*got none/,
    ],
    [
      'of other weights of classes',
      () => stored({ identity: { ...identity, classWeights: [1, 2] } }),
      /^it belongs to another run: expected classWeights none, got \[1,2\]$/,
    ],
    [
      'past the end of this run',
      () => stored({ step: 1_001 }),
      /^it was written after step 1001, but this run has only 1000 steps$/,
    ],
    [
      'that cannot be read',
      async () => ({ ...(await stored()), read: () => Promise.reject(new Error('EIO: i/o error, read')) }),
      /^EIO: i\/o error/,
    ],
  ])('is not one %s, which is passed over with its reason', async (_what, one, reason) => {
    const [bad, good] = [await one(), await stored({ step: 100 })];
    const { chosen, passedOver } = await chooseCheckpoint([bad, good], identity, steps);
    expect(chosen?.checkpoint.step).toBe(100);
    expect(passedOver).toEqual([{ stored: bad, reason: expect.stringMatching(reason) }]);
    expect((await chooseCheckpoint([bad], identity, steps)).chosen).toBeUndefined();
  });
});

describe('--checkpoint-every', () => {
  const read = (text: string) =>
    parseOptions(runOptions, ['--checkpoint', 'x', `--checkpoint-every=${text}`])['checkpoint-every'];

  it.each([
    ['50', { steps: 50 }, 'every 50 steps'],
    ['1', { steps: 1 }, 'every step'],
    ['5m', { minutes: 5 }, 'every 5 minutes'],
    ['0.5m', { minutes: 0.5 }, 'every 0.5 minutes'],
    // The default that help shows.
    [runOptions['checkpoint-every'].defaultText, defaultInterval, 'every minute'],
  ] as const)('takes %s', (text, interval, words) => {
    expect(read(text)).toEqual(interval);
    expect(intervalText(interval)).toBe(words);
  });

  it.each(['', '0', '0m', '-5', '1.5', '5 m', '5s', 'm', '1e3', '99999999999999999999'])('refuses %j', (text) => {
    expect(() => read(text)).toThrow('--checkpoint-every: expected steps like 50, or minutes like 5m, got ');
  });
});

describe('the next copy', () => {
  /** The step of the next copy, which the clock is told of. */
  const next = (clock: CheckpointClock, from: number): number => {
    let step = from;
    while (!clock.isDue(step, 0)) step++;
    clock.copied(step, 0);
    return step;
  };

  it('is due when the minutes are over', () => {
    const clock = new CheckpointClock({ minutes: 2 }, 0, 1_000);
    expect([120_999, 121_000].map((atMs) => clock.isDue(5_000, atMs))).toEqual([false, true]);
    clock.copied(5_000, 121_000);
    expect([240_999, 241_000].map((atMs) => clock.isDue(9_000, atMs))).toEqual([false, true]);
  });

  it('is on the disk before N more steps are over, unless a write takes more than twice as long as the one before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 40, max: 500 }),
        fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), { minLength: 1, maxLength: 30 }),
        (every, growths) => {
          const clock = new CheckpointClock({ steps: every }, 7, 0);
          let [step, safe, writeSteps] = [7, 7, Math.floor(every / 10)];
          for (const growth of growths) {
            const copied = next(clock, step);
            writeSteps = Math.min(Math.floor(writeSteps * growth), Math.floor(every / 4));
            step = copied + writeSteps;
            expect(step - safe).toBeLessThanOrEqual(every);
            safe = copied;
            clock.written(step);
          }
          expect(growths.length).toBeLessThanOrEqual(1 + (2 * (step - 7)) / every);
        },
      ),
    );
  });

  it.each([10, 50, 128])(
    'is on the disk before %i more steps are over, also if earlier writes took no step',
    (every) => {
      const clock = new CheckpointClock({ steps: every }, 0, 0);
      let safe = 0;
      for (let copies = 0; copies < 5; copies++) {
        safe = next(clock, safe);
        clock.written(safe);
      }
      // Until the copy is on disk, a crash returns the run to the previous copy.
      expect(next(clock, safe) + Math.floor(every / 10) - safe).toBeLessThanOrEqual(every);
    },
  );

  it('is due at each step with an interval of one', () => {
    const clock = new CheckpointClock({ steps: 1 }, 0, 0);
    expect([0, 1].map((step) => clock.isDue(step, 0))).toEqual([false, true]);
  });
});

interface Write {
  readonly step: number;
  readonly bytes: Uint8Array;
  readonly end: (error?: Error) => void;
}

/** A run whose weights all equal its step number, and a disk whose writes complete when the test says so. */
function setUp(options: Partial<CheckpointerOptions> = {}, untilItAnswers = async (): Promise<void> => {}) {
  const [lines, written]: [string[], number[]] = [[], []];
  const writes: Write[] = [];
  const removals: number[] = [];
  const weights = new Float32Array(5);
  let step = 0;
  let wake = (): void => {};
  const checkpointer = new Checkpointer({
    store: {
      write: (_run, ofStep, file) =>
        new Promise((resolve, reject) => {
          const end = (error?: Error): void => (error ? reject(error) : resolve(`checkpoint-${ofStep}`));
          writes.push({ step: ofStep, bytes: file, end });
          wake();
        }),
      removeAfter: async (_run, ofStep) => void removals.push(ofStep),
      untilItAnswers,
    },
    runName: 'run',
    interval: { steps: 1 },
    nowMs: () => 0,
    stepsTaken: () => step,
    copy: () => ({ ...sampleCheckpoint, step, weights: weights.slice() }),
    newest: undefined,
    onWritten: (one) => written.push(one.step),
    log: (line) => lines.push(line),
    ...options,
  });
  return {
    checkpointer,
    lines,
    writes,
    written,
    removals,
    goBack(to: number) {
      step = to;
      weights.fill(to);
      checkpointer.goBack();
    },
    takeStep() {
      step += 1;
      weights.fill(step);
      checkpointer.stepped();
    },
    async write(index: number): Promise<Write> {
      while (writes.length <= index) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return writes[index]!;
    },
  };
}

/** Ends a write, and lets what follows it run. */
async function end(write: Promise<Write>, error?: Error): Promise<void> {
  (await write).end(error);
  for (let count = 0; count < 3; count++) await turn();
}

describe('a checkpointer', () => {
  it('writes the run as it was at the step, whatever steps are taken meanwhile, one write at a time', async () => {
    const { takeStep, write, writes, written } = setUp();
    for (let step = 0; step < 10; step++) takeStep();
    const { step, bytes: file } = await write(0);
    expect(step).toBe(1);
    expect([...decodeCheckpoint(file, sha256).weights]).toEqual([1, 1, 1, 1, 1]);
    expect(written).toEqual([]);
    await end(write(0));
    expect(written).toEqual([1]);
    expect(writes).toHaveLength(1);
    takeStep();
    expect((await write(1)).step).toBe(11);
  });

  it('takes a copy after the next step if it is to hurry, and then as often as before', async () => {
    const { takeStep, write, writes, checkpointer } = setUp({ interval: { steps: 1_000 } });
    takeStep();
    checkpointer.hurry();
    takeStep();
    expect((await write(0)).step).toBe(2);
    await end(write(0));
    takeStep();
    await turn();
    await turn();
    expect(writes).toHaveLength(1);
  });

  it('replaces the checkpoints of later steps at once if the run goes back, after a write that is still going on', async () => {
    const { takeStep, goBack, write, written, removals, checkpointer } = setUp({ interval: { steps: 4 } });
    for (let step = 0; step < 9; step++) takeStep();
    goBack(3);
    takeStep();
    expect(removals).toEqual([]);
    await end(write(0));
    const { step, bytes: file } = await write(1);
    expect([step, ...decodeCheckpoint(file, sha256).weights]).toEqual([3, 3, 3, 3, 3, 3]);
    expect(removals).toEqual([3]);
    await end(write(1));
    expect(written.at(-1)).toBe(3);
    expect(checkpointer.newest).toEqual({ file: 'checkpoint-3', step: 3 });
  });

  it('writes nothing of a run that goes back to its beginning, and then as often as before', async () => {
    const { takeStep, goBack, write, writes, removals, checkpointer } = setUp();
    takeStep();
    await end(write(0));
    goBack(0);
    await turn();
    expect([removals, writes.length, checkpointer.newest]).toEqual([[0], 1, undefined]);
    takeStep();
    expect((await write(1)).step).toBe(1);
  });

  it('says if checkpoints with wrong results cannot be removed', async () => {
    const removeAfter = async (): Promise<void> => {
      throw new Error('EACCES: permission denied, unlink');
    };
    const { goBack, lines, takeStep } = setUp({ store: { write: async () => '', removeAfter } });
    takeStep();
    goBack(0);
    while (lines.length === 0) await turn();
    expect(lines.at(-1)).toMatch(/^checkpoints with wrong results, of steps after 0, were not removed: EACCES/);
  });

  it('says once that it cannot write, and when it can again', async () => {
    const { takeStep, write, lines, written, checkpointer } = setUp();
    const full = new Error('ENOSPC: no space left on device, write');
    for (const index of [0, 1, 2]) {
      takeStep();
      await end(write(index), full);
    }
    expect(lines).toEqual([
      `the checkpoint after step 1 was not written: ${full.message}; training continues without it`,
    ]);
    expect(checkpointer.newest).toBeUndefined();
    takeStep();
    await end(write(3));
    expect(lines.slice(1)).toEqual(['checkpoints are being written again; the newest one is of step 4']);
    expect(written).toEqual([4]);
  });

  it.each([
    { newest: undefined, rest: '' },
    { newest: { file: 'checkpoint-1', step: 1 }, rest: '; the newest one is of step 1' },
  ])('says that it cannot write the end, even if it could not write before', async ({ newest, rest }) => {
    const { takeStep, write, lines, checkpointer } = setUp({ newest });
    const full = new Error('ENOSPC: no space left on device, write');
    takeStep();
    takeStep();
    const finished = checkpointer.finish();
    await end(write(0), full);
    await end(write(1), full);
    await finished;
    expect(lines).toEqual([
      `the checkpoint after step 1 was not written: ${full.message}; training continues without it`,
      `no checkpoint holds the end of this run: ${full.message}${rest}`,
    ]);
  });

  it('writes the last step at the end, after a write that is still going on', async () => {
    const { takeStep, write, written, checkpointer } = setUp();
    takeStep();
    takeStep();
    const finished = checkpointer.finish();
    await end(write(0));
    expect((await write(1)).step).toBe(2);
    await end(write(1));
    await finished;
    expect(written).toEqual([1, 2]);
    expect(checkpointer.newest).toEqual({ file: 'checkpoint-2', step: 2 });
  });

  it('writes the end of a finished run once its store answers', async () => {
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { writes, takeStep, write, checkpointer } = setUp({ interval: { steps: 10 } }, () => answered);
    takeStep();
    const finished = checkpointer.finish(true);
    await turn();
    expect(writes).toEqual([]);
    answer();
    await end(write(0));
    await finished;
    expect(checkpointer.newest).toEqual({ file: 'checkpoint-1', step: 1 });
  });

  it('writes nothing at the end if that is on the disk already, or no step was taken', async () => {
    const { takeStep, write, writes, checkpointer } = setUp();
    await checkpointer.finish();
    takeStep();
    await end(write(0));
    await checkpointer.finish();
    expect(writes).toHaveLength(1);
  });
});
