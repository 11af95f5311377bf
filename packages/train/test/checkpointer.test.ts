import { describe, expect, it } from 'vitest';
import { decodeCheckpoint } from '../src/checkpoint/checkpoint.ts';
import { Checkpointer, type CheckpointerOptions } from '../src/checkpoint/checkpoints.ts';
import { sha256 } from '../src/node/sha256.ts';
import { sampleCheckpoint } from './sample-checkpoint.ts';

interface Write {
  readonly step: number;
  readonly bytes: Uint8Array;
  readonly end: (error?: Error) => void;
}

/** A run whose weights all equal its step number, and a disk whose writes complete when the test says so. */
function setUp(options: Partial<CheckpointerOptions> = {}) {
  const lines: string[] = [];
  const writes: Write[] = [];
  const written: number[] = [];
  const weights = new Float32Array(5);
  let step = 0;
  let wake = (): void => {};
  const checkpointer = new Checkpointer({
    store: {
      write: (_run, ofStep, bytes) =>
        new Promise((resolve, reject) => {
          writes.push({
            step: ofStep,
            bytes,
            end: (error) => (error ? reject(error) : resolve(`checkpoint-${ofStep}`)),
          });
          wake();
        }),
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

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Lets the continuation of a write run. */
const settled = async (): Promise<void> => {
  for (let count = 0; count < 3; count++) await turn();
};

describe('a checkpointer', () => {
  it('writes the run as it was at the step, whatever steps are taken meanwhile', async () => {
    const { takeStep, write, written } = setUp();
    takeStep();
    takeStep();
    takeStep();
    const { step, bytes, end } = await write(0);
    expect(step).toBe(1);
    expect([...decodeCheckpoint(bytes, sha256).weights]).toEqual([1, 1, 1, 1, 1]);
    expect(written).toEqual([]);
    end();
    await settled();
    expect(written).toEqual([1]);
  });

  it('takes a copy after the next step where it is to hurry, and then as often as before', async () => {
    const { takeStep, write, writes, checkpointer } = setUp({ interval: { steps: 1_000 } });
    takeStep();
    checkpointer.hurry();
    takeStep();
    const { step, end } = await write(0);
    expect(step).toBe(2);
    end();
    await settled();
    takeStep();
    await settled();
    expect(writes).toHaveLength(1);
  });

  it('never has two writes at once', async () => {
    const { takeStep, write, writes } = setUp();
    for (let step = 0; step < 10; step++) takeStep();
    (await write(0)).end();
    await settled();
    expect(writes).toHaveLength(1);
    takeStep();
    expect((await write(1)).step).toBe(11);
  });

  it('says once that it cannot write, and when it can again', async () => {
    const { takeStep, write, lines, written, checkpointer } = setUp();
    const full = new Error('ENOSPC: no space left on device, write');
    for (const index of [0, 1, 2]) {
      takeStep();
      (await write(index)).end(full);
      await settled();
    }
    expect(lines).toEqual([
      `the checkpoint after step 1 was not written: ${full.message}; training goes on without it`,
    ]);
    expect(checkpointer.newest).toBeUndefined();
    takeStep();
    (await write(3)).end();
    await settled();
    expect(lines.slice(1)).toEqual(['checkpoints are written again, the last one after step 4']);
    expect(written).toEqual([4]);
  });

  it('writes the last step at the end, after a write that is still going on', async () => {
    const { takeStep, write, written, checkpointer } = setUp();
    takeStep();
    takeStep();
    const finished = checkpointer.finish();
    (await write(0)).end();
    const last = await write(1);
    expect(last.step).toBe(2);
    last.end();
    await finished;
    expect(written).toEqual([1, 2]);
    expect(checkpointer.newest).toEqual({ file: 'checkpoint-2', step: 2 });
  });

  it('writes nothing at the end where that is on the disk already, or no step was taken', async () => {
    const { takeStep, write, writes, checkpointer } = setUp();
    await checkpointer.finish();
    takeStep();
    (await write(0)).end();
    await settled();
    await checkpointer.finish();
    expect(writes).toHaveLength(1);
  });
});
