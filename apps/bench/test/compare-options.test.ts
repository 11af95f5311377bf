/** The command line of compare: units, lists, and one sentence for each mistake. */
import { parseOptions } from '@lockstep/command';
import { describe, expect, test } from 'vitest';
import { compareCommand } from '../src/compare/compare.ts';

const batches = 'a list of whole numbers from 1 to 1000000, each once, like 64,512';
const parse = (...args: readonly string[]) => parseOptions(compareCommand.options, args);

describe('options', () => {
  test('without any, the grid is compared three times and the page goes to compare.html', () => {
    expect(parse()).toMatchObject({
      rounds: 3,
      minutes: 3,
      accuracy: 80,
      html: 'compare.html',
      browser: false,
      predict: false,
    });
    expect(parse()).toMatchObject({ model: undefined, batch: undefined, workers: undefined, steps: undefined });
  });

  test('lists are read in their order', () => {
    expect(parse('--model', 'mlp, cnn', '--batch', '64,512')).toMatchObject({
      model: ['mlp', 'cnn'],
      batch: [64, 512],
    });
    expect(parse('--predict', '--speeds', '1,1,0.5')).toMatchObject({ speeds: [1, 1, 0.5] });
  });

  test.each([
    ['100Mbit/s', 12.5e6],
    ['1Gbit/s', 125e6],
    ['56 kbit/s', 7e3],
    ['12.5MB/s', 12.5e6],
    ['2GB/s', 2e9],
  ])('a link of %s is %d bytes a second', (text, bytesPerSecond) => {
    expect(parse('--predict', '--link', text).link).toBeCloseTo(bytesPerSecond, 6);
  });

  test.each([
    ['5ms', 5],
    ['0.2 ms', 0.2],
    ['200us', 0.2],
    ['1s', 1000],
  ])('a latency of %s is %d ms', (text, latencyMs) => {
    expect(parse('--predict', '--link', '1Gbit/s', '--latency', text).latency).toBeCloseTo(latencyMs, 9);
  });

  test.each([
    [['--link', '100'], '--link: expected a rate like 100Mbit/s or 12MB/s, got 100'],
    [['--link', '0Mbit/s'], '--link: expected a rate like 100Mbit/s or 12MB/s, got 0Mbit/s'],
    [['--link', '1toString'], '--link: expected a rate like 100Mbit/s or 12MB/s, got 1toString'],
    [['--link', '1Gbit/s'], '--link: requires --predict, because it applies only to a prediction'],
    [['--predict', '--latency', '1ms'], '--latency: requires --link, because it is the latency of that link'],
    [['--latency', 'soon'], '--latency: expected a time like 5ms or 200us, got soon'],
    [['--batch', '64,few'], `--batch: expected ${batches}, got 64,few`],
    [['--batch', '64,64'], `--batch: expected ${batches}, got 64,64`],
    [['--model', 'mlp,,cnn'], '--model: expected a list of models, each once, like mlp,cnn, got mlp,,cnn'],
    [['--speeds', '1,-1'], '--speeds: expected a list of numbers above 0, like 1,1,0.5, got 1,-1'],
    [['--rounds', '0'], '--rounds: expected a whole number from 1 to 100, got 0'],
    [['--minutes', '0'], '--minutes: expected a number above 0, got 0'],
    [['--accuracy', '100'], '--accuracy: expected a number from 1 to below 100, got 100'],
  ])('%j is refused', (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });
});
