import { expect, test } from 'vitest';
import { parseModel, resolveModel, summary } from '../src/index.ts';

test('a summary has one line for each layer', () => {
  expect(summary(resolveModel('mlp')).split('\n')).toEqual([
    'Model: mlp',
    '─'.repeat(35),
    'layer     output shape   parameters',
    '═'.repeat(35),
    'input     [784]',
    '0 dense   [128]             100,480',
    '1 relu    [128]                   0',
    '2 dense   [10]                1,290',
    '─'.repeat(35),
    'Total: 101,770 parameters (397.5 KiB)',
  ]);
});

test('the counts of the layers add up to the total', () => {
  const model = parseModel({
    name: 'wide',
    input: [2, 3, 2],
    layers: [
      { type: 'flatten' },
      { type: 'dense', units: 1000 },
      { type: 'dropout', rate: 0.5 },
      { type: 'dense', units: 2000 },
    ],
  });
  const lines = summary(model).split('\n');
  const counts = lines.slice(5, -2).map((line) => Number(line.trim().split(/\s+/).at(-1)!.replaceAll(',', '')));
  expect(counts).toEqual([0, 13_000, 0, 2_002_000]);
  expect(lines.at(-1)).toBe('Total: 2,015,000 parameters (7.7 MiB)');
});
