/** The command line: what it accepts, and one sentence for everything else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { defaultRounds, helpText, parseOptions, UsageError } from '../src/options.ts';
import { checkReportPath } from '../src/report.ts';

const known = ['gradient-step', 'matmul', 'wire'];

describe('options', () => {
  test('none: every question, default rounds, no report', () => {
    expect(parseOptions([], known)).toEqual({
      questions: known,
      rounds: defaultRounds,
      report: undefined,
      help: false,
    });
  });

  test('questions keep the order of the table, each once', () => {
    const args = ['--question', 'wire', '--question=gradient-step', '--question', 'wire'];
    expect(parseOptions(args, known).questions).toEqual(['gradient-step', 'wire']);
  });

  test('rounds, report and help are read', () => {
    expect(parseOptions(['--rounds', '3', '--report', 'out.json'], known)).toMatchObject({
      rounds: 3,
      report: 'out.json',
    });
    expect(parseOptions(['--help'], known).help).toBe(true);
  });

  test.each([
    [['--question', 'speed'], "--question: expected 'gradient-step', 'matmul' or 'wire', got 'speed'"],
    [['--rounds', '0'], "--rounds: expected a whole number from 1 to 10000, got '0'"],
    [['--rounds', '2.5'], "--rounds: expected a whole number from 1 to 10000, got '2.5'"],
    [['--rounds', '1e3'], "--rounds: expected a whole number from 1 to 10000, got '1e3'"],
    [['--rounds='], "--rounds: expected a whole number from 1 to 10000, got ''"],
    [['--rounds', '10001'], "--rounds: expected a whole number from 1 to 10000, got '10001'"],
    [['--report='], "--report: expected the path of a JSON file, got ''"],
  ])('%j is refused with what was expected and got', (args, message) => {
    expect(() => parseOptions(args, known)).toThrow(new UsageError(message));
  });

  test.each([[['--speed']], [['gradient-step']], [['--rounds']], [['--help=yes']], [['--rounds', '--help']]])(
    '%j is refused with one sentence that points to the help',
    (args) => {
      let message = '';
      try {
        parseOptions(args, known);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        message = (error as Error).message;
      }
      expect(message).toContain(args[0]!.split('=')[0]);
      expect(message).toMatch(/; see --help$/);
      expect(message).not.toContain('\n');
    },
  );

  test('the help names every option and question', () => {
    const text = helpText([{ name: 'wire', title: 'how fast bytes go' }]);
    for (const word of ['--question', '--rounds', '--report', '--help', 'wire', 'how fast bytes go']) {
      expect(text).toContain(word);
    }
  });
});

test('a report that could not be written is refused before anything is measured', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  try {
    expect(() => checkReportPath(join(folder, 'report.json'))).not.toThrow();
    expect(() => checkReportPath(folder)).toThrow(`--report: expected a file, got the folder '${folder}'`);
    expect(() => checkReportPath(join(folder, 'missing', 'report.json'))).toThrow('in an existing folder');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
