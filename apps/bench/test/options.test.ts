/** The command line of bench: what it accepts, and one sentence for everything else. */
import { readdirSync, readFileSync } from 'node:fs';
import { helpText, parseOptions } from '@lockstep/command';
import { describe, expect, test } from 'vitest';
import { benchCommand, benchmarks } from '../src/bench.ts';

const parse = (...args: readonly string[]) => parseOptions(benchCommand.options, args);

const listed =
  'names from corners, coordinator-throughput, diloco, gradient-step, matmul, cnn-step, tab, table-read, table-train, each at most once';

describe('options', () => {
  test('none: every benchmark, default rounds, no report', () => {
    const names = benchmarks.map(({ name }) => name);
    expect(parse()).toEqual({ benchmark: names, rounds: 15, report: undefined, help: false, version: false });
  });

  test('benchmarks, rounds, report and help are read', () => {
    expect(parse('--benchmark', 'tab, matmul')).toMatchObject({ benchmark: ['tab', 'matmul'] });
    expect(parse('--rounds', '3', '--report', 'out.json')).toMatchObject({ rounds: 3, report: 'out.json' });
    expect(parse('--help').help).toBe(true);
  });

  test.each([
    [['--benchmark', 'speed'], `--benchmark: expected ${listed}, got speed`],
    [['--benchmark', 'tab,speed'], `--benchmark: expected ${listed}, got tab,speed`],
    [['--benchmark', 'tab,tab'], `--benchmark: expected ${listed}, got tab,tab`],
    [['--rounds', '0'], '--rounds: expected a whole number from 1 to 10000, got 0'],
  ])('%j is refused with what was expected and got', (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });

  test('documents name no other benchmark', () => {
    const folder = new URL('../../../docs/', import.meta.url);
    const pages = readdirSync(folder).filter((name) => name.endsWith('.md'));
    const texts = [new URL('../README.md', folder), ...pages.map((name) => new URL(name, folder))].map((file) =>
      readFileSync(file, 'utf8'),
    );
    const named = texts.flatMap((text) => [...text.matchAll(/--benchmark ([\w,-]+)/g)].map(([, list]) => list!));
    expect(named).toContain('gradient-step,matmul');
    for (const list of named) expect(parse('--benchmark', list).benchmark).toEqual(list.split(','));
  });

  test('the help names every option and benchmark', () => {
    const text = helpText('npm run bench', benchCommand.summary, benchCommand.options).replaceAll(/\s+/g, ' ');
    for (const word of ['--benchmark', '--rounds', '--report', '--help']) expect(text).toContain(word);
    for (const { name, title } of benchmarks) expect(text).toContain(` ${name} ${title}`);
  });
});
