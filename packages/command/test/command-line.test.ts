/** A command line is read by its option table, which its help shows as well. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { helpText, optionTables, parseOptions, readCommandLine, version } from '../src/command-line.ts';
import { dataOptions, generalOptions } from '../src/common-options.ts';
import {
  flagKind,
  lineKind,
  type Options,
  oneOfKind,
  operands,
  positiveKind,
  socketUrl,
  textKind,
  wholeKind,
} from '../src/option.ts';
import { CommandFailure } from '../src/program.ts';

const table = {
  batch: { kind: wholeKind({ from: 1 }), help: 'samples in a batch', default: 128 },
  optimizer: { kind: oneOfKind(['sgd', 'momentum']), help: 'how a step is taken', default: 'sgd' },
  port: {
    kind: wholeKind({ from: 0, to: 65_535 }),
    help: 'port to listen on',
    defaultText: '7070, or the next free one',
  },
  lr: { kind: positiveKind, help: 'learning rate' },
  model: { kind: textKind, placeholder: 'NAME|FILE.json', help: 'a built-in model or a layer list' },
  save: {
    kind: textKind,
    placeholder: 'FILE.safetensors',
    help: 'where to write the trained model, in a format that many other programs of the field can read as well',
  },
  url: { kind: socketUrl, help: 'address' },
  single: { kind: flagKind, help: 'one process' },
} as const satisfies Options;

const manyOptions = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`other-${index}`, table.lr]));

describe('parseOptions', () => {
  it('gives the defaults if no option is given', () => {
    const { batch, optimizer, single, ...others } = parseOptions(table, []);
    expect([batch, optimizer, single]).toEqual([128, 'sgd', false]);
    expect(Object.values(others)).toEqual(Array.from({ length: 5 }, () => undefined));
  });

  it('reads values after a space and after an equals sign', () => {
    const url = 'ws://10.0.0.1:80/?token=a';
    const values = parseOptions(table, ['--batch', '64', '--lr=0.01', '--single', '--url', url]);
    expect(values).toMatchObject({ batch: 64, lr: 0.01, single: true, url });
  });

  it('takes words without an option if the table has operands', () => {
    const withFiles = { ...table, files: operands('FILE…', 'files') };
    const values = parseOptions(withFiles, ['a', '--save', 'b', '--single', 'c', '--', '--d']);
    expect(values).toMatchObject({ files: ['a', 'c', '--d'], save: 'b', single: true });
    expect(parseOptions(withFiles, []).files).toEqual([]);
    expect(() => parseOptions(withFiles, ['--files', 'a'])).toThrow('--files: unknown option');
  });

  const whole1 = '--batch: expected a whole number of at least 1, got';
  it.each([
    [['--batch', '0'], `${whole1} 0`],
    [['--batch', '1e3'], `${whole1} 1e3`],
    [['--batch', '64.5'], `${whole1} 64.5`],
    [['--batch=-3'], `${whole1} -3`],
    [['--batch', '99999999999999999999'], `${whole1} 99999999999999999999`],
    [['--batch', ''], `${whole1} nothing`],
    [['--batch'], '--batch: expected a value (N), got none'],
    [['--batch', '--single'], '--batch: expected a value (N), got none'],
    [['--batch', '1', '--batch', '2'], '--batch: given twice, expected once'],
    [['--port', '65536'], '--port: expected a whole number from 0 to 65535, got 65536'],
    [['--lr', 'x'.repeat(9_000)], `--lr: expected a number above 0, got ${'x'.repeat(39)}…${'x'.repeat(39)}`],
    [['--lr', 'nan'], '--lr: expected a number above 0, got nan'],
    [['--lr', 'Infinity'], '--lr: expected a number above 0, got Infinity, which is too large'],
    [['--lr', '1e999'], '--lr: expected a number above 0, got 1e999, which is too large'],
    [['--lr=-1'], '--lr: expected a number above 0, got -1'],
    [['--optimizer', 'adagrad'], '--optimizer: expected one of sgd, momentum, got adagrad'],
    [['--url', 'http://127.0.0.1'], '--url: expected an address like ws://127.0.0.1:7070, got http://127.0.0.1'],
    [['--single=yes'], '--single: takes no value, got yes'],
    [['--bacth', '3'], '--bacth: unknown option; did you mean --batch? --help all lists every option'],
    [['--frobnicate'], '--frobnicate: unknown option; --help all lists every option'],
    [['--toString'], '--toString: unknown option; --help all lists every option'],
    [['-b'], '-b: unknown option; --help all lists every option'],
    [['64'], '64: expected an option that begins with --'],
  ])('%j is one sentence and exit code 2', (args, message) => {
    expect(() => parseOptions(table, args)).toThrow(expect.objectContaining({ message, exitCode: 2 }));
  });
});

const name = { name: { kind: lineKind(5), help: 'a name' } };

describe('a line', () => {
  it.each(['a', 'abcde', 'a b', 'zoë', '👩\u200d🏫', 'می\u200cم'])('takes %j', (given) => {
    expect(parseOptions(name, ['--name', given])).toEqual({ name: given });
  });

  it.each(['', ' ', 'abcdef', 'a\nb', '\u001b[m', 'a\u202eb', '\ud800'])('refuses %j', (given) => {
    const parse = () => parseOptions(name, [`--name=${given}`]);
    expect(parse).toThrow(CommandFailure);
    expect(parse).toThrow(/^--name: expected one line of 1 to 5 printable characters, got /);
  });
});

describe('helpText', () => {
  const shown = helpText('npm start -- [options]', 'Trains.', table);

  it('begins with usage and summary, then names every option', () => {
    expect(shown.startsWith('npm start -- [options]\n\nTrains.\n\n  --batch N ')).toBe(true);
    for (const name of Object.keys(table)) expect(shown).toContain(`--${name}`);
  });

  it('shows defaults, also one that depends on other options', () => {
    expect(shown).toContain('samples in a batch (default 128)');
    expect(shown).toMatch(/port to listen on \(default 7070, or the next free\n +one\)/);
    expect(shown).toContain('one process\n');
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

  it('fits 80 columns, with long flags on lines of their own', () => {
    const long = { ...table, 'checkpoint-every': { ...table.lr, placeholder: 'STEPS|MINUTES' } };
    const text = helpText(
      'npm start',
      'Trains a network, in more words than one line of 80 columns has room for.\n  name  And a list of entries whose text is longer than what is left of its line.',
      long,
    );
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(text).toMatch(/\n {2}--checkpoint-every STEPS\|MINUTES\n {20,}learning rate\n/);
  });

  it('shows only the essential options of a command with many, unless all are requested', () => {
    const many = { ...manyOptions, batch: { ...table.batch, isEssential: true } };
    const short = helpText('npm start', 'Trains.', many);
    expect(short).toBe(
      'npm start\n\nTrains.\n\n  --batch N  samples in a batch (default 128)\n\n--help all prints all 31 options.\n',
    );
    const all = helpText('npm start', 'Trains.', many, true);
    for (const name of Object.keys(many)) expect(all).toContain(`--${name} `);
    expect(all).not.toContain('--help all');
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
      '| `--port N` | port to listen on | a whole number from 0 to 65535 | 7070, or the next free one |',
      '',
    ].join('\n'),
  );
});

describe('the options of data', () => {
  it('leave to the reader what they do not say', () => {
    const { gray, lines, 'skip-bad': skipBad, ...others } = parseOptions(dataOptions, []);
    expect([gray, lines, skipBad]).toEqual([false, false, false]);
    expect(Object.values(others).every((value) => value === undefined)).toBe(true);
  });

  it.each([
    ['--ignore', 'id, name', { ignore: ['id', 'name'] }],
    ['--size', '48x32', { size: { width: 48, height: 32 } }],
    ['--task', 'regression', { task: 'regression' }],
    ['--fit', 'contain', { fit: 'contain' }],
    ['--vocabulary', 'bytes', { vocabulary: 'bytes' }],
    ['--vocabulary', '512', { vocabulary: 512 }],
    ['--context', '32', { context: 32 }],
    ['--label', 'species', { label: 'species' }],
  ])('read %s %s', (name, given, expected) => {
    const values = parseOptions(dataOptions, ['--data', 'x', name, given, '--gray']);
    expect(values).toMatchObject({ ...expected, gray: true });
  });

  it.each([
    ['--ignore', 'id,,name', 'names of columns, separated by commas'],
    ['--size', '32', 'a size like 32x32, up to 4096x4096'],
    ['--size', '0x32', 'a size like 32x32, up to 4096x4096'],
    ['--size', '5000x32', 'a size like 32x32, up to 4096x4096'],
    ['--task', 'both', 'one of classification, regression'],
    ['--vocabulary', '256', 'one of characters, bytes, or a whole number from 257 to 65535'],
    ['--context', '0', 'a whole number from 1 to 65535'],
  ])('refuse %s %s', (name, given, expected) => {
    expect(() => parseOptions(dataOptions, [name, given])).toThrow(`${name}: expected ${expected}, got ${given}`);
  });
});

const command = {
  name: 'start',
  args: '[options]',
  summary: 'Trains.',
  options: {
    workers: { kind: wholeKind(), help: '' },
    'weight-decay': { kind: wholeKind(), help: '' },
    ...generalOptions,
  },
};

/** Captures stdout from now on; returns a function that returns the text so far. */
function captured(): () => string {
  let printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => {
    printed += part;
    return true;
  });
  return () => printed;
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe('readCommandLine', () => {
  it('gives the values and prints nothing', () => {
    const printed = captured();
    expect(readCommandLine(command, ['--workers', '3'])).toMatchObject({ workers: 3, help: false, version: false });
    expect(printed()).toBe('');
  });

  it.each(['-h', '--help'])('prints the help for %s', (option) => {
    const printed = captured();
    expect(readCommandLine(command, [option])).toBeUndefined();
    expect(printed()).toMatch(/^npm start -- \[options\]\n\nTrains\.\n\n {2}--workers N/);
  });

  it.each([['--help', 'all'], ['-h', 'all'], ['--help=all']])('%s %s prints every option', (...args) => {
    const printed = captured();
    expect(readCommandLine({ ...command, options: { ...manyOptions, ...command.options } }, args)).toBeUndefined();
    expect(printed()).toContain('--other-29 X');
  });

  it('takes no other word after --help', () => {
    expect(() => readCommandLine(command, ['--help', 'some'])).toThrow('some: expected an option that begins with --');
    expect(() => readCommandLine(command, ['--help=some'])).toThrow('--help: expected all, or no value, got some');
  });

  it('prints the version', () => {
    const printed = captured();
    expect(readCommandLine(command, ['--version'])).toBeUndefined();
    expect(printed()).toBe(`${version}\n`);
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('names options that npm kept for itself', () => {
    vi.stubEnv('npm_config_workers', 'true');
    vi.stubEnv('npm_config_weight_decay', '0.1');
    expect(() => readCommandLine(command, ['3'])).toThrow(
      '--workers and --weight-decay: npm needs -- before options: npm start -- [options]',
    );
  });

  it('takes settings of npm for nothing else', () => {
    vi.stubEnv('npm_config_version', '1');
    expect(readCommandLine(command, [])).toMatchObject({ workers: undefined });
  });
});
