/** How a program ends, and what it says of its options and of other commands. */
import { afterEach, expect, it, vi } from 'vitest';
import { ConfigurationError, configurationError, optionName } from '../src/option.ts';
import { CommandFailure, commandText, runMain, wrapText } from '../src/program.ts';

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
  for (const thrown of [refused, new RangeError('cpu: WebAssembly memory could not grow from 1 MB by 2 MB')]) {
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

it('names options as the program knows them, and as a command line does', () => {
  const error = configurationError`${optionName('threads')}: expected 1 with ${optionName('backend', 'gpu')}, got ${3}`;
  expect(error).toBeInstanceOf(ConfigurationError);
  expect(error.option).toBe('threads');
  expect(error.message).toBe('threads: expected 1 with backend gpu, got 3');
  expect(error.messageWith((option) => `--${option}`)).toBe('--threads: expected 1 with --backend gpu, got 3');
  expect(error.messageWith((option) => `--${option} gpu`)).toBe('--threads gpu: expected 1 with --backend gpu, got 3');
});

it('may name none', () => {
  const error = configurationError`nothing there`;
  expect([error.option, error.message]).toEqual([undefined, 'nothing there']);
});

it.each([
  { name: 'start', args: '', inClone: 'npm start', elsewhere: 'npx lockstep start' },
  { name: 'start', args: '--single', inClone: 'npm start -- --single', elsewhere: 'npx lockstep start --single' },
  { name: 'worker', args: '', inClone: 'npm run worker', elsewhere: 'npx lockstep worker' },
  { name: 'worker', args: '--wait', inClone: 'npm run worker -- --wait', elsewhere: 'npx lockstep worker --wait' },
])('$inClone is $elsewhere outside a clone', ({ name, args, inClone, elsewhere }) => {
  expect(commandText(name, args, {})).toBe(inClone);
  expect(commandText(name, args, { LOCKSTEP_COMMAND: 'npx lockstep' })).toBe(elsewhere);
});

it.each([
  ['    worker   on', 80, ['    worker   on']],
  ['  one two three', 9, ['  one two', 'three']],
  ['one   two    three', 7, ['one  ', 'two   ', 'three']],
  ['', 80, ['']],
])('wraps %j at %i columns, and keeps its indent', (text, columns, lines) => {
  expect(wrapText(text, columns)).toEqual(lines);
});
