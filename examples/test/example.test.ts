/** `npm run example`: its lists, help and options; bad input gives one sentence. */
import { join } from 'node:path';
import { chapters } from '@lockstep/lesson';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../packages/train/test/tiny-data.ts';
import { example, programs } from '../src/example.ts';
import { printed } from './printed.ts';

afterEach(() => vi.restoreAllMocks());

describe('npm run example', () => {
  test('without a name it lists the chapters and the programs', async () => {
    const list = await printed();
    for (const { id, title } of chapters) expect(list).toContain(`${id.padEnd(16)}  ${title}\n`);
    for (const [name, title] of Object.entries(programs)) expect(list).toContain(`${name.padEnd(19)}  ${title}\n`);
  });

  test.each(Object.keys(programs))('%s --help says where its file is, and runs nothing', async (name) => {
    expect(await printed(name, '--help')).toContain(`examples/${name}.ts`);
  });

  test.each(chapters.map(({ id }) => id))('%s --help lists every control with its default', async (id) => {
    const help = await printed(id, '--help');
    const { controls, live } = chapters.find((chapter) => chapter.id === id)!;
    const options = help.replace(/\s+/g, ' ');
    const all = [...Object.values(controls), ...Object.values(live?.controls ?? {})];
    for (const { label, fallback } of all) {
      expect(options.toLowerCase()).toContain(`${label.toLowerCase()}: `);
      expect(options).toContain(`(default ${fallback})`);
    }
  });

  test('options change what is computed', async () => {
    expect(await printed('gradient-descent', '--lr', '0.5', '--start-x', '1')).toContain('too large');
    expect(await printed('softmax', '--temperature', '0.05')).toMatch(/100\.00 %/);
    expect(await printed('activations', '--live-activation', 'relu')).toMatch(
      /\n +test accuracy, % .* 100\n +step 2,000, loss .*: generalizes\n/,
    );
  });
});

describe('what cannot be done is one sentence', () => {
  const folder = temporaryFolder();
  let tiny = '';
  beforeAll(async () => {
    tiny = await writeFolder(folder, 'tiny', tinyFiles());
  });

  test.each([
    [['xr'], /^xr: expected one of vectors, /],
    [['iris', '--lr', '5'], /^--lr: unknown option/],
    [['xor', '--lr', '5'], /^--lr: expected a number from 0\.001 to 1, got 5$/],
    [['xor', '--steps', '100.5'], /^--steps: expected a whole number from 100 to 3000, got 100\.5$/],
    [['xor', '--activation', 'sine'], /^--activation: expected one of tanh, relu, none, got sine$/],
    [['xor', '--temperature', '1'], /^--temperature: unknown option/],
    [['xor', '--data', 'x'], /^--data: unknown option/],
    [['mini-batches', '--data', join('nowhere', 'at-all')], /^--data: nowhere\/at-all: no such file or folder/],
  ])('%j', async (args, message) => {
    await expect(example(args)).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
  });

  test('data with too few images for a chapter', async () => {
    await expect(example(['mini-batches', '--data', tiny])).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(
        /^--data: expected at least 6000 training images and 1000 test images, got \d+ and \d+$/,
      ),
    });
  });
});
