/** The harness with candidates that log their calls instead of computing: order, checks, ratios and cleaning up. */
import { describe, expect, test } from 'vitest';
import { caseLines } from '../src/bench.ts';
import { type Candidate, type Implementation, measureCase, type Row } from '../src/harness.ts';
import { counter, countingCase, effort, silent } from './counting.ts';

function rowOf(result: Awaited<ReturnType<typeof measureCase>>, name: string): Row {
  return result.rows.find((row) => row.name === name)!;
}

describe('measureCase', () => {
  test('interleaves bursts of the aimed length and starts each round one candidate further', async () => {
    const calls: string[] = [];
    const candidates = [counter('a', 1, calls), counter('b', 2, calls), counter('c', 500, calls)];
    await measureCase(countingCase(candidates), effort, silent);
    const timed = calls.filter((line) => !/open|close/.test(line)).slice(-12);
    expect(timed).toEqual([
      ...['a 100', 'b 50', 'c 1'],
      ...['b 50', 'c 1', 'a 100'],
      ...['c 1', 'a 100', 'b 50'],
      ...['a 100', 'b 50', 'c 1'],
    ]);
    expect(calls.slice(-3)).toEqual(['a close', 'b close', 'c close']);
  });

  test('gives time per step, ratios to the baseline, and the check', async () => {
    const result = await measureCase(countingCase([counter('a', 2, []), counter('b', 5, [])]), effort, silent);
    expect(rowOf(result, 'b')).toMatchObject({
      status: 'measured',
      version: '1.2.3',
      notes: ['counts by 1'],
      distance: 0,
      msPerStep: { median: 5, min: 5, max: 5 },
      timesBaseline: { median: 2.5, min: 2.5, max: 2.5 },
    });
    expect(rowOf(result, 'a')).toMatchObject({ timesBaseline: { median: 1 } });
    expect(caseLines(result).find((line) => line.includes('b 1.2.3'))).toContain('2.50x');
  });

  test('refuses a candidate that computes something else, and does not time it', async () => {
    const calls: string[] = [];
    const result = await measureCase(
      countingCase([counter('a', 1, calls), counter('cheat', 1, calls, 2)]),
      effort,
      silent,
    );
    expect(rowOf(result, 'cheat')).toMatchObject({ status: 'refused', distance: 1 });
    expect(calls.filter((line) => line.startsWith('cheat'))).toEqual(['cheat open', 'cheat 5', 'cheat close']);
    expect(caseLines(result).join('\n')).toContain('cheat refused: computes something else: relative distance');
  });

  test('refuses a result that is not a number', async () => {
    const result = await measureCase(
      countingCase([counter('a', 1, []), counter('nan', 1, [], Number.NaN)]),
      effort,
      silent,
    );
    expect(rowOf(result, 'nan').status).toBe('refused');
  });

  test('names the candidates that are absent or fail, and measures the others', async () => {
    const calls: string[] = [];
    const absent: Candidate = { name: 'absent', open: async () => ({ absent: 'not installed' }) };
    const broken: Candidate = {
      name: 'broken',
      async open() {
        const opened = (await counter('broken', 1, calls).open()) as Implementation;
        return { ...opened, run: () => Promise.reject(new Error('out of memory')) };
      },
    };
    const result = await measureCase(countingCase([counter('a', 1, calls), absent, broken]), effort, silent);
    expect(result.rows.map(({ name, status }) => [name, status])).toEqual([
      ['a', 'measured'],
      ['absent', 'absent'],
      ['broken', 'failed'],
    ]);
    expect(rowOf(result, 'broken')).toMatchObject({ reason: 'out of memory' });
    expect(calls).toContain('broken close');
  });

  test('without its baseline nothing is measured, and every open candidate is closed', async () => {
    const calls: string[] = [];
    const broken: Candidate = { name: 'base', open: () => Promise.reject(new Error('out of memory')) };
    await expect(measureCase(countingCase([broken, counter('b', 1, calls)]), effort, silent)).rejects.toThrow(
      'counting: the baseline base cannot be measured: out of memory',
    );
    expect(calls.at(-1)).toBe('b close');
  });

  test('where this machine lacks the baseline, every row of the case is absent and says why', async () => {
    const calls: string[] = [];
    const absent: Candidate = { name: 'base', open: async () => ({ absent: 'no browser' }) };
    const result = await measureCase(countingCase([absent, counter('b', 1, calls)]), effort, silent);
    expect(result.rows).toEqual([
      { status: 'absent', name: 'base', reason: 'no browser' },
      { status: 'absent', name: 'b', reason: 'not measured, since base is absent' },
    ]);
    expect(calls).toEqual([]);
    expect(caseLines(result)).toEqual([
      'counting',
      '  base absent: no browser',
      '  b absent: not measured, since base is absent',
    ]);
  });

  test('a slow candidate is left out when its budget is spent, and its ratios are of the rounds it took part in', async () => {
    const calls: string[] = [];
    const slow = counter('slow', 4000, calls);
    const result = await measureCase(countingCase([counter('a', 2, []), slow]), { ...effort, budgetMs: 6000 }, silent);
    expect(rowOf(result, 'slow')).toMatchObject({ rounds: 2, timesBaseline: { median: 2000 } });
    expect(rowOf(result, 'a')).toMatchObject({ rounds: 4 });
    expect(caseLines(result)).toContain('  slow took part in 2 of the rounds');
  });

  test('a step longer than the whole budget is not warmed up, and the baseline stays to the end', async () => {
    const calls: string[] = [];
    const subject = countingCase([counter('a', 9000, []), counter('glacial', 20_000, calls)], 1);
    const result = await measureCase(subject, effort, silent);
    expect(calls).toEqual(['glacial open', 'glacial 1', 'glacial 1', 'glacial close']);
    expect(rowOf(result, 'a')).toMatchObject({ rounds: 4 });
    expect(rowOf(result, 'glacial')).toMatchObject({ rounds: 1, stepsPerRound: 1 });
  });

  test('a candidate that fails in a timed round becomes a row, and the rounds go on', async () => {
    const calls: string[] = [];
    const fading: Candidate = {
      name: 'fading',
      async open() {
        const opened = (await counter('fading', 1, calls).open()) as Implementation;
        let runs = 0;
        return {
          ...opened,
          run: (steps) => (++runs > 4 ? Promise.reject(new Error('device lost')) : opened.run(steps)),
        };
      },
    };
    const result = await measureCase(countingCase([counter('a', 1, calls), fading]), effort, silent);
    expect(rowOf(result, 'a')).toMatchObject({ status: 'measured' });
    expect(rowOf(result, 'fading')).toEqual({ status: 'failed', name: 'fading', reason: 'device lost' });
    expect(calls).toContain('fading close');
  });

  test('a clock that stands still is an error, not an endless warm-up', async () => {
    const result = await measureCase(countingCase([counter('a', 1, []), counter('still', 0, [])]), effort, silent);
    expect(rowOf(result, 'still')).toMatchObject({ status: 'failed' });
  });
});
