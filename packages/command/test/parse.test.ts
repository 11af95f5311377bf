import { describe, expect, it } from 'vitest';
import { parseOptions } from '../src/command-line.ts';
import { flag, line, type Options, oneOf, operands, positive, socketUrl, text, whole } from '../src/option.ts';
import { CommandFailure } from '../src/program.ts';

const table = {
  batch: { kind: whole({ from: 1 }), help: 'samples in a batch', default: 128 },
  port: { kind: whole({ from: 0, to: 65_535 }), help: 'port' },
  lr: { kind: positive, help: 'learning rate' },
  optimizer: { kind: oneOf(['sgd', 'momentum']), help: 'optimizer', default: 'sgd' },
  save: { kind: text, help: 'where to save' },
  url: { kind: socketUrl, help: 'address' },
  single: { kind: flag, help: 'one process' },
} as const satisfies Options;

describe('parseOptions', () => {
  it('gives fallbacks where no option is given', () => {
    expect(parseOptions(table, [])).toEqual({
      batch: 128,
      port: undefined,
      lr: undefined,
      optimizer: 'sgd',
      save: undefined,
      url: undefined,
      single: false,
    });
  });

  it('reads values after a space and after an equals sign', () => {
    const values = parseOptions(table, [
      '--batch',
      '64',
      '--lr=0.01',
      '--single',
      '--url',
      'ws://10.0.0.1:80/?token=a',
    ]);
    expect(values).toMatchObject({ batch: 64, lr: 0.01, single: true, url: 'ws://10.0.0.1:80/?token=a' });
  });

  it('takes words without an option where the table has operands', () => {
    const withFiles = { ...table, files: operands('FILE…', 'files') };
    expect(parseOptions(withFiles, ['a', '--save', 'b', '--single', 'c', '--', '--d'])).toMatchObject({
      files: ['a', 'c', '--d'],
      save: 'b',
      single: true,
    });
    expect(parseOptions(withFiles, []).files).toEqual([]);
    expect(() => parseOptions(withFiles, ['--files', 'a'])).toThrow('--files: unknown option');
  });

  it.each([
    [['--batch', '0'], '--batch: expected a whole number of at least 1, got 0'],
    [['--batch', '1e3'], '--batch: expected a whole number of at least 1, got 1e3'],
    [['--batch', '64.5'], '--batch: expected a whole number of at least 1, got 64.5'],
    [['--batch=-3'], '--batch: expected a whole number of at least 1, got -3'],
    [['--batch', '99999999999999999999'], '--batch: expected a whole number of at least 1, got 99999999999999999999'],
    [['--batch', ''], '--batch: expected a whole number of at least 1, got nothing'],
    [['--batch'], '--batch: expected a value (N), got none'],
    [['--batch', '--single'], '--batch: expected a value (N), got none'],
    [['--batch', '1', '--batch', '2'], '--batch: given twice, expected once'],
    [['--port', '65536'], '--port: expected a whole number from 0 to 65535, got 65536'],
    [['--lr', 'nan'], '--lr: expected a number above 0, got nan'],
    [['--lr', 'Infinity'], '--lr: expected a number above 0, got Infinity'],
    [['--lr=-1'], '--lr: expected a number above 0, got -1'],
    [['--optimizer', 'adagrad'], '--optimizer: expected one of sgd, momentum, got adagrad'],
    [['--url', 'http://127.0.0.1'], '--url: expected an address like ws://127.0.0.1:7070, got http://127.0.0.1'],
    [['--single=yes'], '--single: takes no value, got yes'],
    [['--bacth', '3'], '--bacth: unknown option; did you mean --batch? --help lists them all'],
    [['--frobnicate'], '--frobnicate: unknown option; --help lists them all'],
    [['--toString'], '--toString: unknown option; --help lists them all'],
    [['-b'], '-b: unknown option; --help lists them all'],
    [['64'], '64: expected an option that begins with --'],
  ])('%j is one sentence and exit code 2', (args, message) => {
    const attempt = () => parseOptions(table, args);
    expect(attempt).toThrow(new CommandFailure(message, 2));
    try {
      attempt();
    } catch (error) {
      expect((error as CommandFailure).exitCode).toBe(2);
    }
  });
});

const name = { name: { kind: line(5), help: 'a name' } };

describe('a line', () => {
  it.each(['a', 'abcde', 'a b', 'zoë', '👩\u200d🏫', 'می\u200cم'])('takes %j', (text) => {
    expect(parseOptions(name, ['--name', text])).toEqual({ name: text });
  });

  it.each(['', ' ', 'abcdef', 'a\nb', '\u001b[m', 'a\u202eb', '\ud800'])('refuses %j', (text) => {
    const parse = () => parseOptions(name, [`--name=${text}`]);
    expect(parse).toThrow(CommandFailure);
    expect(parse).toThrow(/^--name: expected one line of 1 to 5 printable characters, got /);
  });
});
