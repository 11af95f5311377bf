import { afterEach, expect, it, vi } from 'vitest';
import { CommandFailure, runMain } from '../src/program.ts';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** The standard error and the exit code of a program whose main function throws this. */
async function failing(thrown: unknown): Promise<{ text: string; code: unknown }> {
  let text = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  await runMain('lockstep', () => Promise.reject(thrown));
  return { text, code: process.exitCode };
}

it('a failure of the command is its sentence and its exit code', async () => {
  expect(await failing(new CommandFailure('no', 2))).toEqual({ text: 'lockstep: no\n', code: 2 });
});

it('memory that the engine refuses is one sentence', async () => {
  let refused: unknown;
  try {
    new ArrayBuffer(2 ** 52);
  } catch (error) {
    refused = error;
  }
  for (const thrown of [refused, new RangeError('cpu: expected 2 MB more memory than 1 MB, the engine refused')]) {
    const { text, code } = await failing(thrown);
    expect(text).toMatch(/^lockstep: out of memory \([^\n]+\): use a smaller model or batch, [^\n]+\n$/);
    expect(code).toBe(1);
  }
});

it.each([new RangeError('Maximum call stack size exceeded'), new Error('out of memory'), 'a text'])(
  'anything else is a defect, with its stack: %s',
  async (thrown) => {
    const { text, code } = await failing(thrown);
    expect(text).toMatch(/^lockstep: this is a bug in Lockstep, please report it:\n/);
    expect(code).toBe(1);
  },
);
