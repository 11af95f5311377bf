import { describe, expect, it } from 'vitest';
import { helpText, optionTables } from '../src/command-line.ts';
import { flag, type Options, oneOf, operands, text as textKind, whole } from '../src/option.ts';

const table = {
  batch: { kind: whole({ from: 1 }), help: 'samples in a batch', default: 128 },
  optimizer: { kind: oneOf(['sgd', 'momentum']), help: 'how a step is taken', default: 'sgd' },
  port: { kind: whole(), help: 'port to listen on', defaultText: '7070, or the next free one' },
  model: { kind: textKind, placeholder: 'NAME|FILE.json', help: 'a built-in model or a layer list' },
  save: {
    kind: textKind,
    placeholder: 'FILE.safetensors',
    help: 'where to write the trained model, in a format that many other programs of the field can read as well',
  },
  single: { kind: flag, help: 'one process' },
} as const satisfies Options;

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

  it('lists the groups in their order, each under its title', () => {
    const { batch, port, single } = table;
    const grouped = { port: { ...port, group: 'network' }, batch: { ...batch, group: 'run' }, single } as const;
    const lines = helpText('npm start', 'Trains.', grouped)
      .split('\n')
      .map((line) => line.trim().split(' ')[0]);
    expect(lines.slice(4)).toEqual(['--single', '', 'Run:', '--batch', '', 'Network:', '--port', '']);
  });

  it('stays within 102 columns', () => {
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(102);
  });
});

it('optionTables has names, meanings, what is expected, and defaults', () => {
  const { batch, model, port, single } = table;
  expect(optionTables({ batch, model, port: { ...port, group: 'network' }, single })).toBe(
    [
      '| option | meaning | expected | default |',
      '|---|---|---|---|',
      '| `--batch N` | samples in a batch | a whole number of at least 1 | 128 |',
      '| `--model NAME\\|FILE.json` | a built-in model or a layer list | | |',
      '| `--single` | one process | | |',
      '',
      '### Network',
      '',
      '| option | meaning | expected | default |',
      '|---|---|---|---|',
      '| `--port N` | port to listen on | a whole number of at least 0 | 7070, or the next free one |',
      '',
    ].join('\n'),
  );
});
