/** `npm run example`: every chapter runs and prints what it claims; bad input gives one sentence. */
import { join } from 'node:path';
import { chapters } from '@lockstep/lesson';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { temporaryFolder } from '../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../packages/train/test/tiny-data.ts';
import { example, programs } from '../src/example.ts';

async function printed(...args: string[]): Promise<string> {
  const parts: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => {
    parts.push(String(part));
    return true;
  });
  expect(await example(args)).toBe(0);
  return parts.join('');
}

afterEach(() => vi.restoreAllMocks());

/** Patterns in each chapter's output, which must come from its own computation. */
const expected: Readonly<Record<string, RegExp>> = {
  vectors: /\n +768 +0\.02\d +1\.\d°/,
  'dot-product': /sum +12\n[\s\S]*acute[\s\S]*are perpendicular[\s\S]*obtuse/,
  'matrix-product': /differ from one image at a time +0 of 8,192/,
  tensors: /\[32, 512, 768\] +12,582,912/,
  neuron: /best of 15,625 neurons +3 of 4/,
  xor: /correct +4 of 4\nthe network +learns\n/,
  activations: /relu .*is dead\n[\s\S]*gelu .*learns/,
  layers: /101,770 parameters:[\s\S]*GPT-3, total +174,604,259,328\n/,
  'forward-pass': /prediction +7, with [\s\S]*accuracy after training +8\d\.\d\d %/,
  softmax: /sum +1\.000000[\s\S]*7\.39 times as likely[\s\S]*1000 +0\.4963 +NaN\n/,
  'cross-entropy': /\(ln 10 = 2\.303\)/,
  'gradient-descent': /the learning rate is +about right[\s\S]*0\.001 .*too small\n.*about right\n.*too large\n/,
  'mini-batches': /steps in an epoch +938\n[\s\S]*all +0 of 100\n/,
  'back-propagation':
    /loss +e² +0\.\d+ +1\.0000[\s\S]*sum, the gradient of z +-1\.0723\n[\s\S]*forward 101,770 times +662 billion/,
  initialization: /He +1\.414 +\d\.\d+/,
  'training-loop': /valueAndGrad[\s\S]*the network +generalizes\n/,
  optimizers: /\{"type":"adam","learningRate":0\.001\}[\s\S]*momentum +0\.01/,
  embedding: /loss of guessing +3\.296[\s\S]*\n +a +vowel +e o/,
  attention: /"it" looks at +cat\n[\s\S]*√d +\d\.\d\d/,
  transformer: /step 1,000 +[a-z]+[\s\S]*parameters +4,192\n/,
  'many-workers': /\n +8 +0 of 101,770/,
};

/** Settings that make a chapter train fast. */
const quick: Readonly<Record<string, readonly string[]>> = {
  'training-loop': ['--samples', '6000', '--epochs', '4'],
  optimizers: ['--epochs', '1'],
};

describe('npm run example', () => {
  test('expects something of every chapter', () => {
    expect(Object.keys(expected)).toEqual(chapters.map(({ id }) => id));
  });

  test.each(chapters.map(({ id }) => id))('%s', async (id) => {
    expect(await printed(id, ...(quick[id] ?? []))).toMatch(expected[id]!);
  });

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
