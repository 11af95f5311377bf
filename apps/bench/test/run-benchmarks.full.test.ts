/** A run of benchmarks: what it prints, reports and closes, and when it is sound. */
import { describe, expect, test } from 'vitest';
import { isSound, runBenchmarks } from '../src/bench.ts';
import type { Benchmark, Candidate } from '../src/harness.ts';
import { counter, countingCase, effort, silent } from './counting.ts';

test('a run prints each candidate with its notes, and reports what it printed', async () => {
  let closed = 0;
  const benchmark: Benchmark = {
    name: 'counting',
    title: 'how fast counting is',
    method: ['Counted from nothing.'],
    cases: async () => [countingCase([counter('a', 2, []), counter('b', 5, [])]), countingCase([counter('a', 2, [])])],
    close: async () => {
      closed++;
    },
  };
  const lines: string[] = [];
  const report = await runBenchmarks([benchmark], effort, {
    print: (...printed) => lines.push(...printed),
    progress: silent,
  });
  expect(lines).toContain('Counted from nothing.');
  expect(lines.filter((line) => line === '  a: counts by 1')).toHaveLength(1);
  expect(report.benchmarks[0]!.cases.map(({ rows }) => rows.length)).toEqual([2, 1]);
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({ bench: 1, rounds: 4, machine: { node: process.version } });
  expect(isSound(report)).toBe(true);
  expect(closed).toBe(1);
});

test('a run with a refused candidate is not sound, one with an absent candidate is', async () => {
  const ask = async (candidate: Candidate): Promise<boolean> => {
    const cases = async () => [countingCase([counter('a', 1, []), candidate])];
    const benchmark: Benchmark = { name: 'counting', title: 'counting', method: [], cases };
    return isSound(await runBenchmarks([benchmark], effort, { print: silent, progress: silent }));
  };
  expect(await ask(counter('cheat', 1, [], 2))).toBe(false);
  expect(await ask({ name: 'gone', open: async () => ({ absent: 'not installed' }) })).toBe(true);
});

test('a benchmark closes what its cases shared, though one of them could not be measured', async () => {
  let closed = 0;
  const benchmark: Benchmark = {
    name: 'counting',
    title: 'counting',
    method: [],
    cases: async () => [countingCase([{ name: 'base', open: () => Promise.reject(new Error('out of memory')) }])],
    close: async () => {
      closed++;
    },
  };
  await expect(runBenchmarks([benchmark], effort, { print: silent, progress: silent })).rejects.toThrow(
    'out of memory',
  );
  expect(closed).toBe(1);
});

/** The built benchmarks: their workers are processes of the built program. */
const built: Promise<{ readonly default: readonly Benchmark[] }> = import(
  new URL('../dist/cases/runs.js', import.meta.url).href
);

describe('a coordinator of four workers', () => {
  test.each(['lockstep', 'lockstep, 2 relays', 'bare star'])(
    'as %s ends with the weights of one process',
    async (name) => {
      const [coordinator] = (await built).default;
      const subject = (await coordinator!.cases()).find((each) => each.name === '4 workers')!;
      const opened = await subject.candidates.find((candidate) => candidate.name === name)!.open();
      if ('absent' in opened) throw new Error(opened.absent);
      try {
        expect(await opened.run(subject.checkedSteps)).toBeGreaterThan(0);
        const distance = subject.distance(await opened.result());
        if (name === 'bare star') expect(distance).toBeLessThan(1e-5);
        else expect(distance).toBe(0);
      } finally {
        await opened.close?.();
      }
    },
  );
});
