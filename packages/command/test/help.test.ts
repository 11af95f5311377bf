import { describe, expect, it } from 'vitest';
import { helpText } from '../src/help.ts';
import { choice, operands, switchOption, textOption, wholeNumber, withFallback } from '../src/option.ts';

const table = {
  batch: withFallback(wholeNumber('samples in a batch', { from: 1 }), 128),
  optimizer: withFallback(choice(['sgd', 'momentum'], 'how a step is taken'), 'sgd'),
  port: withFallback(wholeNumber('port to listen on'), undefined, '7070, or the next free one'),
  model: textOption('NAME|FILE.json', 'a built-in model or a layer list'),
  save: textOption(
    'FILE.safetensors',
    'where to write the trained model, in a format that many other programs of the field can read as well',
  ),
  single: switchOption('one process'),
};

describe('helpText', () => {
  const text = helpText('npm start -- [options]', 'Trains.', table);

  it('begins with usage and summary, then names every option', () => {
    expect(text.startsWith('npm start -- [options]\n\nTrains.\n\n  --batch N ')).toBe(true);
    for (const name of Object.keys(table)) expect(text).toContain(`--${name}`);
  });

  it('shows defaults, also one that depends on other options', () => {
    expect(text).toContain('samples in a batch (default 128)');
    expect(text).toContain('port to listen on (default 7070, or the next free one)');
    expect(text).toContain('one process\n');
  });

  it('shows operands by their placeholder alone', () => {
    const withFiles = helpText('npm run predict -- FILE…', 'Predicts.', { files: operands('FILE…', 'pictures') });
    expect(withFiles).toMatch(/\n {2}FILE… {2}pictures\n$/);
  });

  it('stays within 102 columns', () => {
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(102);
  });
});
