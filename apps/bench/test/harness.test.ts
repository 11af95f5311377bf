/** The harness with contenders that keep a diary instead of computing: order, judgement, ratios and cleaning up. */
import { describe, expect, test } from 'vitest';
import { askQuestions, isSound } from '../src/bench.ts';
import type { Contender, Entrant } from '../src/contender.ts';
import { type CaseResult, type Effort, measureCase, type Row } from '../src/harness.ts';
import type { Case, Question } from '../src/question.ts';
import { relativeDistance } from '../src/statistics.ts';
import { caseLines } from '../src/table.ts';

const effort: Effort = { rounds: 4, burstMs: 100, warmUpMs: 50, budgetMs: 5000 };

/** A contender whose steps each add 1 and take `msPerStep` of a clock that does not exist. */
function counter(name: string, msPerStep: number, diary: string[], increment = 1): Entrant {
  return {
    name,
    async open(): Promise<Contender> {
      let count = 0;
      diary.push(`${name} open`);
      return {
        version: '1.2.3',
        notes: [`counts by ${increment}`],
        async reset() {
          count = 0;
        },
        async run(steps) {
          count += steps * increment;
          diary.push(`${name} ${steps}`);
          return steps * msPerStep;
        },
        result: async () => Float32Array.of(count),
        async close() {
          diary.push(`${name} close`);
        },
      };
    },
  };
}

function countTo(entrants: readonly Entrant[], judgedSteps = 5): Case {
  return {
    name: 'counting',
    workPerStep: { amount: 10, unit: 'counts' },
    judgedSteps,
    tolerance: 1e-6,
    figureName: 'count',
    judge: (result) => ({ distance: relativeDistance(result, [judgedSteps]), figure: result[0]! }),
    entrants,
  };
}

function rowOf(result: CaseResult, name: string): Row {
  return result.rows.find((row) => row.name === name)!;
}

const silent = (): void => undefined;

describe('measureCase', () => {
  test('interleaves bursts of the aimed length and starts each round one contender further', async () => {
    const diary: string[] = [];
    const entrants = [counter('a', 1, diary), counter('b', 2, diary), counter('c', 500, diary)];
    await measureCase(countTo(entrants), effort, silent);
    const timed = diary.filter((line) => !/open|close/.test(line)).slice(-12);
    expect(timed).toEqual([
      ...['a 100', 'b 50', 'c 1'],
      ...['b 50', 'c 1', 'a 100'],
      ...['c 1', 'a 100', 'b 50'],
      ...['a 100', 'b 50', 'c 1'],
    ]);
    expect(diary.slice(-3)).toEqual(['a close', 'b close', 'c close']);
  });

  test('gives time per step, ratios to the baseline, and the verdict', async () => {
    const result = await measureCase(countTo([counter('a', 2, []), counter('b', 5, [])]), effort, silent);
    expect(rowOf(result, 'b')).toMatchObject({
      status: 'measured',
      version: '1.2.3',
      notes: ['counts by 1'],
      verdict: { distance: 0, figure: 5 },
      msPerStep: { median: 5, min: 5, max: 5 },
      timesBaseline: { median: 2.5, min: 2.5, max: 2.5 },
    });
    expect(rowOf(result, 'a')).toMatchObject({ timesBaseline: { median: 1 } });
    expect(caseLines(result).find((line) => line.includes('b 1.2.3'))).toContain('2.50x');
  });

  test('refuses a contender that computes something else, and does not time it', async () => {
    const diary: string[] = [];
    const result = await measureCase(countTo([counter('a', 1, diary), counter('cheat', 1, diary, 2)]), effort, silent);
    expect(rowOf(result, 'cheat')).toMatchObject({ status: 'refused', verdict: { figure: 10, distance: 1 } });
    expect(diary.filter((line) => line.startsWith('cheat'))).toEqual(['cheat open', 'cheat 5', 'cheat close']);
    expect(caseLines(result).join('\n')).toContain('cheat refused: computes something else: relative distance');
  });

  test('refuses a result that is not a number', async () => {
    const result = await measureCase(countTo([counter('a', 1, []), counter('nan', 1, [], Number.NaN)]), effort, silent);
    expect(rowOf(result, 'nan').status).toBe('refused');
  });

  test('names who is absent or fails, and measures the others', async () => {
    const diary: string[] = [];
    const absent: Entrant = { name: 'absent', open: async () => ({ absent: 'not installed' }) };
    const broken: Entrant = {
      name: 'broken',
      async open() {
        const contender = (await counter('broken', 1, diary).open()) as Contender;
        return { ...contender, run: () => Promise.reject(new Error('out of memory')) };
      },
    };
    const result = await measureCase(countTo([counter('a', 1, diary), absent, broken]), effort, silent);
    expect(result.rows.map(({ name, status }) => [name, status])).toEqual([
      ['a', 'measured'],
      ['absent', 'absent'],
      ['broken', 'failed'],
    ]);
    expect(rowOf(result, 'broken')).toMatchObject({ reason: 'out of memory' });
    expect(diary).toContain('broken close');
  });

  test('without its baseline there is no answer, and everything opened is closed', async () => {
    const diary: string[] = [];
    const broken: Entrant = { name: 'base', open: () => Promise.reject(new Error('out of memory')) };
    await expect(measureCase(countTo([broken, counter('b', 1, diary)]), effort, silent)).rejects.toThrow(
      'counting: the baseline base cannot be measured: out of memory',
    );
    expect(diary.at(-1)).toBe('b close');
  });

  test('where this machine lacks the baseline the case is absent, and says of everyone why', async () => {
    const diary: string[] = [];
    const absent: Entrant = { name: 'base', open: async () => ({ absent: 'no browser' }) };
    const result = await measureCase(countTo([absent, counter('b', 1, diary)]), effort, silent);
    expect(result.rows).toEqual([
      { status: 'absent', name: 'base', reason: 'no browser' },
      { status: 'absent', name: 'b', reason: 'not measured, since base is absent' },
    ]);
    expect(diary).toEqual([]);
    expect(caseLines(result)).toEqual([
      'counting',
      '  base absent: no browser',
      '  b absent: not measured, since base is absent',
    ]);
  });

  test('a slow contender leaves when its budget is spent, and its ratios are of the rounds it took part in', async () => {
    const diary: string[] = [];
    const slow = counter('slow', 4000, diary);
    const result = await measureCase(countTo([counter('a', 2, []), slow]), { ...effort, budgetMs: 6000 }, silent);
    expect(rowOf(result, 'slow')).toMatchObject({ rounds: 2, timesBaseline: { median: 2000 } });
    expect(rowOf(result, 'a')).toMatchObject({ rounds: 4 });
    expect(caseLines(result)).toContain('  slow took part in 2 of the rounds');
  });

  test('a step longer than the whole budget is not warmed up, and the baseline stays to the end', async () => {
    const diary: string[] = [];
    const subject = countTo([counter('a', 9000, []), counter('glacial', 20_000, diary)], 1);
    const result = await measureCase(subject, effort, silent);
    expect(diary).toEqual(['glacial open', 'glacial 1', 'glacial 1', 'glacial close']);
    expect(rowOf(result, 'a')).toMatchObject({ rounds: 4 });
    expect(rowOf(result, 'glacial')).toMatchObject({ rounds: 1, stepsPerRound: 1 });
  });

  test('a contender that fails in a timed round becomes a row, and the rounds go on', async () => {
    const diary: string[] = [];
    const fading: Entrant = {
      name: 'fading',
      async open() {
        const contender = (await counter('fading', 1, diary).open()) as Contender;
        let calls = 0;
        return {
          ...contender,
          run: (steps) => (++calls > 4 ? Promise.reject(new Error('device lost')) : contender.run(steps)),
        };
      },
    };
    const result = await measureCase(countTo([counter('a', 1, diary), fading]), effort, silent);
    expect(rowOf(result, 'a')).toMatchObject({ status: 'measured' });
    expect(rowOf(result, 'fading')).toEqual({ status: 'failed', name: 'fading', reason: 'device lost' });
    expect(diary).toContain('fading close');
  });

  test('a clock that stands still is an error, not an endless warm-up', async () => {
    const result = await measureCase(countTo([counter('a', 1, []), counter('still', 0, [])]), effort, silent);
    expect(rowOf(result, 'still')).toMatchObject({ status: 'failed' });
  });
});

test('a run asks its questions, prints each contender with its notes, and reports what it printed', async () => {
  let closed = 0;
  const question: Question = {
    kind: 'race',
    name: 'counting',
    title: 'how fast one counts',
    method: ['Counted from nothing.'],
    cases: async () => [countTo([counter('a', 2, []), counter('b', 5, [])]), countTo([counter('a', 2, [])])],
    close: async () => {
      closed++;
    },
  };
  const lines: string[] = [];
  const report = await askQuestions([question], effort, { print: (line) => lines.push(line), progress: silent });
  expect(lines).toContain('Counted from nothing.');
  expect(lines.filter((line) => line === '  a: counts by 1')).toHaveLength(1);
  expect(report.questions[0]!.cases.map(({ rows }) => rows.length)).toEqual([2, 1]);
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({ bench: 1, rounds: 4, machine: { node: process.version } });
  expect(isSound(report)).toBe(true);
  expect(closed).toBe(1);
});

test('a run with a refused contender is not sound, one with an absent contender is', async () => {
  const ask = async (entrant: Entrant): Promise<boolean> => {
    const cases = async () => [countTo([counter('a', 1, []), entrant])];
    const question: Question = { kind: 'race', name: 'counting', title: 'counting', method: [], cases };
    return isSound(await askQuestions([question], effort, { print: silent, progress: silent }));
  };
  expect(await ask(counter('cheat', 1, [], 2))).toBe(false);
  expect(await ask({ name: 'gone', open: async () => ({ absent: 'not installed' }) })).toBe(true);
});

test('facts are printed as they are, and one that does not hold makes a run unsound', async () => {
  const ask = async (holds: boolean): Promise<string> => {
    const question: Question = {
      kind: 'inspection',
      name: 'memory',
      title: 'what is left',
      method: [],
      facts: async () => [{ name: 'flat', holds, message: '3 bytes more', figures: { bytes: 3 } }],
    };
    const lines: string[] = [];
    const report = await askQuestions([question], effort, { print: (line) => lines.push(line), progress: silent });
    expect(isSound(report)).toBe(holds);
    expect(report.questions[0]).toMatchObject({ cases: [], facts: [{ name: 'flat', figures: { bytes: 3 } }] });
    return lines.at(-1)!;
  };
  expect(await ask(true)).toBe('  holds  flat: 3 bytes more');
  expect(await ask(false)).toBe('  DOES NOT HOLD  flat: 3 bytes more');
});

test('a question closes what its cases shared, though one of them could not be measured', async () => {
  let closed = 0;
  const question: Question = {
    kind: 'race',
    name: 'counting',
    title: 'counting',
    method: [],
    cases: async () => [countTo([{ name: 'base', open: () => Promise.reject(new Error('out of memory')) }])],
    close: async () => {
      closed++;
    },
  };
  await expect(askQuestions([question], effort, { print: silent, progress: silent })).rejects.toThrow('out of memory');
  expect(closed).toBe(1);
});
