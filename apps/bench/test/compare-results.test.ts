/** From measurements to figures, sentences and a page: what is said must follow from what was measured. */
import { describe, expect, test } from 'vitest';
import { gridOf } from '../src/compare/grid.ts';
import type { Measured } from '../src/compare/measure.ts';
import { pageOf } from '../src/compare/page/page.ts';
import { ddpName, pytorchName } from '../src/compare/peer-names.ts';
import { type CompareReport, isSound, resultOf, type TrainingResult } from '../src/compare/results.ts';
import { resultLines } from '../src/compare/table.ts';
import { verdictOf } from '../src/compare/verdict.ts';
import { reportOf, type SampleOptions } from './sample-report.ts';

const [training] = gridOf({ model: ['mlp'], batch: [512], steps: 20, lr: undefined });

function own(workers: number | 'single', stepMs: readonly number[], options: SampleOptions = {}): Measured {
  return {
    kind: 'lockstep',
    name: workers === 'single' ? 'one process' : `${workers} worker${workers === 1 ? '' : 's'}`,
    crew: workers === 'single' ? { kind: 'single' } : { kind: 'workers', count: workers },
    command: `npm start -- --workers ${workers}`,
    msPerStep: stepMs,
    reports: stepMs.map((ms) => reportOf({ workers, stepMs: ms, computeMs: ms / 2, ...options })),
  };
}

const peer = (name: string, msPerStep: readonly number[]): Measured => ({
  kind: 'peer',
  name,
  version: '1.2.3',
  notes: ['1 thread'],
  distance: 1e-7,
  msPerStep,
});

const absent: Measured = { kind: 'missing', name: 'jax-js wasm', why: 'absent', reason: 'no <WebAssembly> here' };

function measured(singleMs: number, oneMs: number, twoMs: number): TrainingResult {
  return resultOf(
    training!,
    [
      own('single', [singleMs, singleMs * 2]),
      own(1, [oneMs, oneMs * 2]),
      own(2, [twoMs, twoMs * 2]),
      peer(pytorchName, [4, 4]),
      peer(ddpName, [8]),
      absent,
    ],
    0.5,
  );
}

describe('a result', () => {
  test('has ratios round by round, efficiency for each worker, and bytes a step', () => {
    const { rows, sameWeights, curveDistance } = measured(4, 8, 2);
    expect(rows.map(({ name }) => name)).toEqual([
      'one process',
      '1 worker',
      '2 workers',
      pytorchName,
      ddpName,
      'jax-js wasm',
    ]);
    expect(rows[0]).toMatchObject({ timesSingle: { median: 1, min: 1, max: 1 }, efficiency: null, bytesPerStep: 0 });
    expect(rows[1]).toMatchObject({ timesSingle: { median: 0.5 }, efficiency: 0.5, bytesPerStep: 1.5e6 });
    expect(rows[2]).toMatchObject({ timesSingle: { median: 2, min: 2, max: 2 }, efficiency: 1 });
    expect(rows[2]).toMatchObject({ imagesPerSecond: { max: 256_000, min: 128_000 }, stepsToAccuracy: 12 });
    expect(rows[4]).toMatchObject({ timesSingle: { median: 0.5 }, speedUp: { median: 0.5 } });
    // 8 ms in its one round, where two workers needed 2 ms.
    expect(rows[4]).toMatchObject({ lockstepAgainstIt: { median: 4 } });
    expect(rows[3]).toMatchObject({ speedUp: null });
    expect({ sameWeights, curveDistance }).toEqual({ sameWeights: true, curveDistance: 0 });
  });

  test('is not sound where something failed, or where equal arithmetic gave other weights', () => {
    const base = [own('single', [4]), own(1, [4])];
    expect(isSound([resultOf(training!, [...base, absent], 0.5)])).toBe(true);
    const failed: Measured = { kind: 'missing', name: '2 workers', why: 'failed', reason: 'it ended' };
    expect(isSound([resultOf(training!, [...base, failed], 0.5)])).toBe(false);
    const other = own(2, [4], { weightsSha256: 'cd'.repeat(32) });
    expect(isSound([resultOf(training!, [...base, other], 0.5)])).toBe(false);
    const mixed = own(2, [4], { weightsSha256: 'cd'.repeat(32), exactness: 'sample-exact' });
    expect(isSound([resultOf(training!, [...base, mixed], 0.5)])).toBe(true);
  });

  test('says in text who is how fast, who is missing, and whether the weights agree', () => {
    const text = resultLines(measured(4, 8, 2), 0.5).join('\n');
    expect(text).toContain('mlp, batch 512: 101,770 parameters, 20 steps of plain SGD');
    expect(text).toMatch(/lockstep, 2 workers +192,000 +\(128,000 \.\. 256,000\) +2\.00x +100 %/);
    expect(text).toContain('jax-js wasm absent: no <WebAssembly> here');
    expect(text).toContain('same weights to the bit');
    expect(text).toMatch(/PyTorch DDP, 2 processes 1\.2\.3.*\(0\.50x its own\)/);
  });
});

describe('the verdict', () => {
  test('names what to distribute, what to leave, and what makes no difference', () => {
    const named = (name: string, result: TrainingResult) => ({ ...result, training: { ...result.training, name } });
    const messages = verdictOf([
      named('small', measured(1, 4, 5)),
      named('large', measured(4, 8, 2)),
      named('middle', measured(4, 4, 5)),
    ]);
    expect(messages[0]).toBe('Distribute large (2.00x with 2 workers).');
    expect(messages[1]).toBe('It makes no difference for middle (1.00x with 1 worker).');
    expect(messages[2]).toBe('Train in one process: small (0.25x with 1 worker).');
    expect(messages[3]).toMatch(/^The reason: /);
    expect(messages[4]).toBe(
      'Throughput of 2 workers against PyTorch DDP with 2 processes: 1.60x at small, 4.00x at large and 1.60x at middle.',
    );
  });

  test('is silent where nothing was compared', () => {
    expect(verdictOf([resultOf(training!, [own('single', [4])], 0.5)])).toEqual([]);
  });
});

/** Reads a page as tags, and insists that each is closed by its own. Returns how often each was opened. */
function tagsOf(page: string): Map<string, number> {
  const empty = new Set(['meta', 'br']);
  const open: string[] = [];
  const counts = new Map<string, number>();
  const body = page.replace(/^<!doctype html>/, '').replace(/<style>[^<]*<\/style>/, '');
  for (const [tag, slash, name] of body.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^<>]*>/g)) {
    if (slash === '/') expect(open.pop(), tag).toBe(name);
    else {
      counts.set(name!, (counts.get(name!) ?? 0) + 1);
      if (!empty.has(name!)) open.push(name!);
    }
  }
  expect(open).toEqual([]);
  // Whatever is left of a bracket stands in no text.
  expect(body.replace(/<\/?[a-z][^<>]*>/g, '')).not.toMatch(/[<>]/);
  return counts;
}

describe('the page', () => {
  const results = [measured(4, 8, 2), measured(1, 4, 5)];
  const report: CompareReport = {
    compare: 1,
    lockstep: '0.1.0',
    startedAt: '2026-01-02T03:04:05.678Z',
    wallSeconds: 61,
    machine: {
      cpu: 'A <fast> "chip" & more',
      cores: 2,
      memoryGiB: 8,
      platform: 'linux x64',
      node: 'v20.0.0',
      v8: '11',
      relaxedSimd: false,
    },
    rounds: 2,
    accuracy: 0.5,
    results,
    verdict: verdictOf(results),
  };
  const page = pageOf(report);

  test('is well formed, with every bar, lane and curve of what was measured', () => {
    const tags = tagsOf(page);
    expect(page.match(/class="fill /g)).toHaveLength(10);
    expect(page.match(/<path class="curve [^>]*d="M\d/g)).toHaveLength(2 * 3 + 3);
    expect(page.match(/class="dot workers"/g)).toHaveLength(4);
    expect(page.match(/class="dot peer"/g)).toHaveLength(2);
    expect(tags.get('table')).toBe(1);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
    for (const message of report.verdict) expect(page).toContain(message);
  });

  test('needs nothing from elsewhere and runs nothing', () => {
    expect(/<script|<link|<img|@import|url\(|https?:|\son[a-z]+="/i.test(page)).toBe(false);
    expect(page).toContain("default-src 'none'");
  });

  test('shows text as text', () => {
    expect(page).toContain('A &lt;fast&gt; &quot;chip&quot; &amp; more');
    expect(page).toContain('no &lt;WebAssembly&gt; here');
  });

  test('can be made of one training by one process alone', () => {
    const alone = [resultOf(training!, [own('single', [4])], 0.99)];
    const lonely = pageOf({ ...report, results: alone, verdict: [] });
    tagsOf(lonely);
    expect(lonely).toContain('not reached');
    expect(lonely).not.toMatch(/NaN|Infinity|undefined/);
  });
});
