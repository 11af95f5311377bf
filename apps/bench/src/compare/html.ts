/** The page of a comparison: one self-contained file with the report, and its figures as views of the run's page. */
import { readFileSync } from 'node:fs';
import { plural, thousands } from '@lockstep/data/shown';
import type { Bars, Curves, Exhibit, Table } from '@lockstep/lesson';
import { milliseconds, ratioText } from '../harness.ts';
import type { CompareReport } from './compare.ts';
import {
  type ComparedTraining,
  isLockstep,
  isTimed,
  type LockstepRow,
  ratioCells,
  ratioHeaders,
  rowName,
  stepParts,
} from './results.ts';

/** Content of the page, in order; `page/compare.tsx` draws it. */
export type CompareContent = ReturnType<typeof contentOf>;

const title = 'One process or many?';

export function pageOf(report: CompareReport): string {
  const built = (file: string): string => readFileSync(new URL(`../../dist/page/${file}`, import.meta.url), 'utf8');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${title} A Lockstep comparison</title>
<style>${built('compare.css')}</style>
</head>
<body>
<div id="page"><noscript>The plots need JavaScript. All figures are in this file as JSON.</noscript></div>
<script type="application/json" id="report">${jsonOf(report)}</script>
<script type="application/json" id="content">${jsonOf(contentOf(report))}</script>
<script>${built('compare.js').replaceAll('</', '<\\/')}</script>
</body>
</html>
`;
}

/** JSON that no HTML parser takes for a tag. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function contentOf(report: CompareReport) {
  const { results, rounds, machine, lockstep, startedAt, wallSeconds, conclusion, accuracy } = report;
  const { cpu, cores, memoryGiB, platform, node } = machine;
  const rows = results.flatMap((result) => result.rows);
  const each = (view: (result: ComparedTraining) => Exhibit) => results.map(view);
  const sections: readonly { readonly title: string; readonly text: string; readonly exhibits: readonly Exhibit[] }[] =
    [
      {
        title: 'Images or tokens per second',
        text: `Medians of ${plural(rounds, 'interleaved round')}; the thin line spans them. Next to it: the speed relative to one thread of Lockstep.`,
        exhibits: each(throughputBars),
      },
      {
        title: 'Where a step goes',
        text: 'Medians, milliseconds, measured in the coordinator and its workers. Parts follow one another from left to right in this order; the table below has their figures.',
        exhibits: each(stepBars),
      },
      { title: 'Loss against wall time', text: curveMessage(results), exhibits: each(lossCurves) },
      { title: 'All figures', text: '', exhibits: each((result) => figuresTable(result, accuracy)) },
    ];
  return {
    title,
    about: `${cpu}, ${cores} cores, ${memoryGiB} GiB · ${platform} · Node ${node} · Lockstep ${lockstep} · ${startedAt.slice(0, 16).replace('T', ' ')} UTC`,
    conclusion,
    sections,
    missing: distinct(
      rows.flatMap((row) => (row.kind === 'missing' ? `${row.name} ${row.status}: ${row.reason}` : [])),
    ),
    method: methodOf(accuracy),
    commands: distinct(rows.filter(isLockstep).map(({ command }) => command)),
    notes: distinct(rows.flatMap((row) => (row.kind === 'peer' ? `${rowName(row)}: ${row.notes.join('; ')}` : []))),
    ending: `Measured in ${Math.round(wallSeconds)} s.`,
  };
}

function distinct(lines: readonly string[]): string[] {
  return [...new Set(lines)];
}

function methodOf(accuracy: number): string[] {
  return [
    '“2 processes” includes the coordinator, which computes too, like each process of DDP. “2 workers” are two processes in addition to the coordinator. Each row of Lockstep runs the program itself, started again for every round. Its start-up and the first two thirds of its steps are not counted: the engine still compiles, and workers receive their samples. Every row takes a turn in every round, and ratios are taken round by round. All rows train with plain SGD from the same initial weights on the same batches. Peers get their batches ready as float32 or tokens, and are first checked against one step in plain loops.',
    `The accuracy of ${Math.round(accuracy * 100)} % is training accuracy over the last 1,000 samples or more, each measured before the step that trains on it. Bytes are those of all workers' sockets in both directions, including joining.`,
  ];
}

/** Color tokens of the page, and what they mean. */
const kindKeys = {
  threads: { color: '--train', label: 'Lockstep, threads of one process' },
  processes: { color: '--run-2', label: 'Lockstep, processes, the coordinator among them' },
  workers: { color: '--run-1', label: 'Lockstep, workers next to the coordinator' },
  tabs: { color: '--run-3', label: 'Lockstep, browser tabs' },
  peer: { color: '--border-strong', label: 'others' },
} as const;

const partKeys = {
  compute: { color: '--compute', label: 'compute' },
  pack: { color: '--run-6', label: 'pack (frame, hand over, checksum)' },
  send: { color: '--send', label: 'send (both ways; in one process, gather the next batch)' },
  wait: { color: '--wait', label: 'wait for the last' },
  reduce: { color: '--receive', label: 'reduce' },
  optimizer: { color: '--run-2', label: 'optimizer' },
} as const;

/** Bars of the throughput with the spread of the rounds, and next to it the ratio to one thread. */
function throughputBars({ training, rows }: ComparedTraining): Bars {
  const timed = rows.filter(isTimed).map((row) => ({ ...row, of: row.kind === 'peer' ? row.kind : row.workers.kind }));
  return {
    kind: 'bars',
    caption: training.name,
    keys: [...new Set(timed.map(({ of }) => of))].map((of) => kindKeys[of]),
    bars: timed.map(({ name, of, perSecond: { min, median, max }, timesOneThread }) => ({
      label: name,
      value: median,
      text: `${thousands(median)} · ${ratioText(timesOneThread.median)}`,
      color: kindKeys[of].color,
      range: [min, max],
    })),
  };
}

/** Each row's median step, split into its parts from left to right. */
function stepBars({ training, rows }: ComparedTraining): Bars {
  const bars = rows.filter(isLockstep).flatMap(({ name, parts }) => {
    if (parts === null) return [];
    const value = stepParts.reduce((sum, part) => sum + parts[part], 0);
    const drawn = stepParts.map((part) => {
      return { value: parts[part], color: partKeys[part].color, label: `${part}: ${milliseconds(parts[part])} ms` };
    });
    return [{ label: name, value, text: `${milliseconds(value)} ms`, parts: drawn }];
  });
  return { kind: 'bars', caption: training.name, keys: stepParts.map((part) => partKeys[part]), bars };
}

/** Running means of the loss over seconds: a curve for each row of Lockstep. */
function lossCurves({ training, rows }: ComparedTraining): Curves {
  const own = rows.filter(isLockstep).map(({ name, curve }) => ({ label: name, losses: smoothed(curve) }));
  const x = [...new Set(own.flatMap(({ losses }) => [...losses.keys()]))].sort((a, b) => a - b);
  const series = own.map(({ label, losses }) => ({ label, values: x.map((at) => losses.get(at) ?? Number.NaN) }));
  return { kind: 'curves', caption: training.name, xLabel: 'seconds', x, series };
}

/** Running means of the loss over a thirtieth of the run, to keep the lines distinguishable, by their seconds. */
function smoothed(curve: LockstepRow['curve']): ReadonlyMap<number, number> {
  const reach = Math.floor(curve.length / 60);
  const means = curve.map(({ seconds }, index): [seconds: number, loss: number] => {
    const near = curve.slice(Math.max(0, index - reach), index + reach + 1);
    return [seconds, near.reduce((sum, { loss }) => sum + loss, 0) / near.length];
  });
  return new Map(means);
}

function curveMessage(results: readonly ComparedTraining[]): string {
  const furthest = Math.max(...results.map(({ curveDistance }) => curveDistance));
  if (furthest === 0 && results.every(({ sameWeights }) => sameWeights)) {
    return 'At equal batch every row of Lockstep takes the same steps: at each step their losses are equal, and the final weights are equal, bit for bit. Only the clock differs.';
  }
  return `At equal batch every row of Lockstep takes the same steps; with mixed numeric modes their losses at a step differ by at most ${furthest.toExponential(1)}.`;
}

function figuresTable({ training, rows }: ComparedTraining, accuracy: number): Table {
  const caption = `${training.name}: ${thousands(training.parameters)} parameters, ${training.steps} steps`;
  const partHeaders = stepParts.map((part) => `${part} ms`);
  const header = ['row', `${training.work.unit}/s`, 'min', 'max', ...ratioHeaders(accuracy), 'step ms', ...partHeaders];
  const lines = rows.filter(isTimed).map((row) => {
    const { median, min, max } = row.perSecond;
    const parts = row.kind === 'lockstep' ? row.parts : null;
    const cells = [...[median, min, max].map(thousands), ...ratioCells(row), milliseconds(row.msPerStep.median)];
    return [rowName(row), ...cells, ...stepParts.map((part) => (parts === null ? '' : milliseconds(parts[part])))];
  });
  return { kind: 'table', caption, header, rows: lines };
}
