/** `npm run example`: every chapter runs and prints what it claims. */
import { chapters } from '@lockstep/lesson';
import { afterEach, expect, test, vi } from 'vitest';
import { printed } from './printed.ts';

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

test('expects something of every chapter', () => {
  expect(Object.keys(expected)).toEqual(chapters.map(({ id }) => id));
});

test.each(chapters.map(({ id }) => id))('%s', async (id) => {
  expect(await printed(id, ...(quick[id] ?? []))).toMatch(expected[id]!);
});
