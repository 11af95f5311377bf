/** The page of a comparison: one self-contained file, without a script, with the report as figures, bars and curves. */
import { thousands } from '@lockstep/data/shown';
import { milliseconds, times } from '../harness.ts';
import type { CompareReport } from './compare.ts';
import {
  isLockstep,
  isTimed,
  type LockstepRow,
  type PeerRow,
  ratioCells,
  ratioHeaders,
  rowName,
  stepParts,
  type TrainingResult,
} from './results.ts';

interface Markup {
  readonly markup: string;
}

type Part = Markup | string | number | readonly Part[];

/** `<p>${text}</p>`: escapes strings and numbers; inserts markup and lists of markup unchanged. */
function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { markup: strings.reduce((text, next, index) => text + textOf(parts[index - 1]!) + next) };
}

function textOf(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') {
    return `${part}`.replace(/[&<>"]/g, (character) => escapes[character]!);
  }
  return 'markup' in part ? part.markup : part.map(textOf).join('');
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

export function pageOf(report: CompareReport): string {
  const { results, rounds, machine, lockstep, startedAt, wallSeconds, conclusion, accuracy } = report;
  const rows = results.flatMap((result) => result.rows);
  const own = rows.filter(isLockstep);
  const kinds = [...new Set(rows.filter(isTimed).map(kindOf))];
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>One process or many? A Lockstep comparison</title>
<style>${{ markup: style }}</style>
</head>
<body>
<header>
<h1>One process or many?</h1>
<p class="quiet">${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB · ${machine.platform} · Node ${machine.node} · Lockstep ${lockstep} · ${startedAt.slice(0, 16).replace('T', ' ')} UTC</p>
</header>
<section class="conclusion" aria-label="Conclusion">${conclusion.map((message) => html`<p>${message}</p>`)}</section>
<main>
<h2>Images a second</h2>
<p class="quiet">Medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'}; the thin line spans them. Beside it: times as fast as one thread of Lockstep.</p>
${keys(kinds.map((kind) => [kind, kindTitles[kind]]))}
${cards(results, 'throughput', throughputBars)}
<h2>Where a step goes</h2>
<p class="quiet">Medians, milliseconds, measured in the coordinator and its workers. Parts follow one another from left to right in this order; the table below has their figures.</p>
${keys(stepParts.map((part) => [part, partTitles[part]]))}
${cards(results, 'step', stepBars)}
<h2>Loss against wall time</h2>
<p class="quiet">${curveMessage(results)} The dot at the end of a line has the number of its threads, processes, workers or tabs; the line of one thread is solid.</p>
${cards(results, 'curves', lossCurves)}
<h2>All figures</h2>
${figures(results, accuracy)}
${listOf(rows.flatMap((row) => (row.kind === 'missing' ? [`${row.name} ${row.status}: ${row.reason}`] : [])))}
<h2>How it was measured</h2>
<p>“2 processes” includes the coordinator, which computes too, like each process of DDP. “2 workers” are two processes in addition to the coordinator. Each row of Lockstep runs the program itself, started again for every round. Its start-up and the first two thirds of its steps are not counted: the engine still compiles, and workers receive their samples. Every row takes a turn in every round, and ratios are taken round by round. All rows train with plain SGD from the same initial weights on the same batches. Peers get their batches ready as float32, and are first checked against one step in plain loops.</p>
<p>The accuracy of ${Math.round(accuracy * 100)} % is training accuracy over the last 1,000 samples or more, each measured before the step that trains on it. Bytes are those of all workers' sockets in both directions, including joining.</p>
<details><summary>The commands</summary><ul>${own.map(({ command }) => html`<li><code>${command}</code></li>`)}</ul></details>
${listOf(rows.flatMap((row) => (row.kind === 'peer' ? [`${rowName(row)}: ${row.notes.join('; ')}`] : [])))}
<p class="quiet">Measured in ${Math.round(wallSeconds)} s.</p>
</main>
<script type="application/json" id="report">${{ markup: JSON.stringify(report).replaceAll('<', '\\u003c') }}</script>
</body>
</html>
`;
  return page.markup;
}

type RowKind = keyof typeof kindTitles;

const kindTitles = {
  threads: 'Lockstep, threads of one process',
  processes: 'Lockstep, processes, the coordinator among them',
  workers: 'Lockstep, workers beside the coordinator',
  tabs: 'Lockstep, browser tabs',
  peer: 'others',
} as const;

const partTitles = {
  compute: 'compute',
  pack: 'pack (frame, hand over, checksum)',
  send: 'send (both ways; in one process, gather the next batch)',
  wait: 'wait for the last',
  reduce: 'reduce',
  optimizer: 'optimizer',
} as const;

function kindOf(row: LockstepRow | PeerRow): RowKind {
  return row.kind === 'peer' ? 'peer' : row.workers.kind;
}

function keys(colors: readonly (readonly [color: string, title: string])[]): Markup {
  return html`<p>${colors.map(([color, title]) => html`<span class="key"><i class="${color}"></i>${title}</span>`)}</p>`;
}

function cards(results: readonly TrainingResult[], chart: string, draw: (result: TrainingResult) => Markup): Markup {
  const card = (result: TrainingResult) =>
    html`<section class="card" data-chart="${chart}"><h3>${result.training.name}</h3>${draw(result)}</section>`;
  return html`<div class="cards">${results.map(card)}</div>`;
}

const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)}%`;

/** Bars of images per second, each with a line that spans the rounds, and next to it the ratio to one thread. */
function throughputBars({ rows }: TrainingResult): Markup {
  const timed = rows.filter(isTimed);
  const most = Math.max(...timed.map(({ imagesPerSecond }) => imagesPerSecond.max));
  return html`<dl>${timed.map((row) => {
    const { min, median, max } = row.imagesPerSecond;
    const spans = `left:${share(min, most)};width:${share(max - min, most)}`;
    const bar = html`<i class="${kindOf(row)}" style="width:${share(median, most)}"></i><b style="${spans}"></b>`;
    return html`<dt>${row.name}</dt><dd><span>${bar}</span>${thousands(median)} · ${times(row.timesOneThread.median)}</dd>`;
  })}</dl>`;
}

/** Each row's median step, split into its parts from left to right. */
function stepBars({ rows }: TrainingResult): Markup {
  const own = rows.filter(isLockstep).flatMap(({ name, parts }) => (parts ? [{ name, parts }] : []));
  const totalOf = ({ parts }: (typeof own)[number]) => stepParts.reduce((sum, part) => sum + parts[part], 0);
  const most = Math.max(...own.map(totalOf));
  return html`<dl>${own.map((row) => {
    const bars = stepParts.map((part) => {
      const ms = row.parts[part];
      return html`<i class="${part}" style="width:${share(ms, most)}" title="${part}: ${milliseconds(ms)} ms"></i>`;
    });
    return html`<dt>${row.name}</dt><dd><span>${bars}</span>${milliseconds(totalOf(row))} ms</dd>`;
  })}</dl>`;
}

/** Loss over seconds: one line with a dot at its end for each row of Lockstep. Losses are running means. */
function lossCurves({ rows }: TrainingResult): Markup {
  const [left, right, top, bottom] = [34, 404, 8, 214];
  const own = rows.filter(isLockstep).map((row) => ({ row, points: smoothed(row.curve) }));
  const all = own.flatMap(({ points }) => points);
  const [mostSeconds, mostLoss] = [Math.max(...all.map(([x]) => x)), Math.max(...all.map(([, y]) => y))];
  const x = (seconds: number): string => (left + ((right - left) * seconds) / mostSeconds).toFixed(1);
  const y = (loss: number): string => (bottom - ((bottom - top) * loss) / mostLoss).toFixed(1);
  const lines = own.map(({ row, points }) => {
    const { kind, count } = row.workers;
    const dash = row.efficiency === null ? '' : `${3 * count} 3`;
    const [endX, endY] = points.at(-1)!;
    const path = points.map(([seconds, loss]) => `${x(seconds)},${y(loss)}`).join(' ');
    return html`<polyline class="${kind}" points="${path}" stroke-dasharray="${dash}"></polyline><circle class="${kind}" cx="${x(endX)}" cy="${y(endY)}" r="8"></circle><text class="dot" x="${x(endX)}" y="${y(endY)}">${count}</text>`;
  });
  const columns = ticks(mostSeconds).map((at) => html`<text x="${x(at)}" y="${bottom + 16}">${at} s</text>`);
  const grid = ticks(mostLoss).map(
    (at) =>
      html`<line x1="${left}" x2="${right}" y1="${y(at)}" y2="${y(at)}"></line><text x="${left - 16}" y="${y(at)}">${at}</text>`,
  );
  return html`<svg viewBox="0 0 420 240" role="img" aria-label="Loss against seconds">${grid}${columns}${lines}</svg>`;
}

/** About four round numbers from 0 to `most`. */
function ticks(most: number): number[] {
  const size = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 5, 10].map((times) => times * size).find((each) => most / each <= 4)!;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

/** Seconds, and running means of the loss over a thirtieth of the run, to keep the lines distinguishable. */
function smoothed(curve: LockstepRow['curve']): [seconds: number, loss: number][] {
  const reach = Math.floor(curve.length / 60);
  return curve.map(({ seconds }, index) => {
    const near = curve.slice(Math.max(0, index - reach), index + reach + 1);
    return [seconds, near.reduce((sum, { loss }) => sum + loss, 0) / near.length];
  });
}

function curveMessage(results: readonly TrainingResult[]): string {
  const furthest = Math.max(...results.map(({ curveDistance }) => curveDistance));
  if (furthest === 0 && results.every(({ sameWeights }) => sameWeights)) {
    return 'At equal batch every row of Lockstep takes the same steps: at each step their losses are equal, and the final weights to the bit. Only the clock differs.';
  }
  return `At equal batch every row of Lockstep takes the same steps; with mixed numeric modes their losses at a step differ by at most ${furthest.toExponential(1)}.`;
}

function figures(results: readonly TrainingResult[], accuracy: number): Markup {
  const partHeaders = stepParts.map((part) => `${part} ms`);
  const headers = ['images/s', 'min', 'max', ...ratioHeaders(accuracy), 'step ms', ...partHeaders];
  const bodies = results.map(({ training, rows }) => {
    const title = `${training.name}: ${thousands(training.parameters)} parameters, ${training.steps} steps`;
    const lines = rows.filter(isTimed).map((row) => {
      const { median, min, max } = row.imagesPerSecond;
      const parts = row.kind === 'lockstep' ? row.parts : null;
      const cells = [
        ...[median, min, max].map(thousands),
        ...ratioCells(row),
        milliseconds(row.msPerStep.median),
        ...stepParts.map((part) => (parts === null ? '' : milliseconds(parts[part]))),
      ];
      return html`<tr><td>${rowName(row)}</td>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`;
    });
    return html`<tr class="head"><th colspan="${headers.length + 1}">${title}</th></tr>${lines}`;
  });
  return html`<div class="table card"><table><thead><tr><th></th>${headers.map((header) => html`<th>${header}</th>`)}</tr></thead><tbody>${bodies}</tbody></table></div>`;
}

/** A list of the distinct lines; empty if there are none. */
function listOf(lines: readonly string[]): Markup {
  const items = [...new Set(lines)].map((line) => html`<li>${line}</li>`);
  return items.length === 0 ? html`` : html`<ul class="quiet">${items}</ul>`;
}

/** Light and dark, for phones and desktops. A bar or a line has the color that its class names. */
const colors = {
  threads: '#33373d, #d8d5cd',
  processes: '#a3446f, #ea90b8',
  workers: '#1769aa, #5fb0ee',
  tabs: '#0b7f73, #3fc2b2',
  peer: '#a7a39a, #6d6f73',
  compute: '#1769aa, #4b9fe0',
  pack: '#d98a00, #e5a33a',
  send: '#57b0e3, #8fd0f5',
  wait: '#b9b5ab, #8a8d92',
  reduce: '#0d8f68, #3fbf95',
  optimizer: '#b5609a, #d58dbf',
} as const satisfies Record<RowKind | keyof typeof partTitles, string>;

const style = `
:root { color-scheme: light dark; --paper: light-dark(#fbfaf7, #141619); --card: light-dark(#fff, #1c1f23);
  --ink: light-dark(#1d1f23, #e9e7e2); --quiet: light-dark(#62666d, #a1a5ac); --line: light-dark(#e2dfd8, #31353b); }
${Object.entries(colors)
  .map(([name, pair]) => `.${name} { --color: light-dark(${pair}); }`)
  .join('\n')}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .3rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: .3rem 0; max-width: 86ch; }
.quiet { color: var(--quiet); font-size: .875rem; }
.card, .conclusion { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.1rem; min-width: 0; }
.conclusion { margin: 1.5rem 0; border-left: 4px solid light-dark(#1769aa, #5fb0ee); }
.conclusion p:first-child { font-weight: 600; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); margin-top: 1rem; }
.key { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1.1rem; font-size: .875rem; }
.key i { width: .8rem; height: .8rem; border-radius: 3px; background: var(--color); }
dl { display: grid; grid-template-columns: auto 1fr; gap: .3rem .7rem; margin: 0; font-size: .8125rem; }
dd { display: flex; gap: .5rem; margin: 0; white-space: nowrap; }
dd span { position: relative; display: flex; flex: 1; min-width: 4rem; }
dd i { height: 1.25rem; background: var(--color); }
dd b { position: absolute; top: 50%; height: 2px; min-width: 2px; background: var(--ink); }
svg { width: 100%; font-size: 12px; }
svg text { fill: var(--quiet); text-anchor: middle; dominant-baseline: middle; }
svg .dot { fill: var(--card); }
svg line { stroke: var(--line); }
polyline { fill: none; stroke: var(--color); stroke-width: 2; }
circle { fill: var(--color); }
.table { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { text-align: right; padding: .35rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--quiet); font-weight: 500; }
tr.head th { padding-top: 1.1rem; }
code { font-size: .8125rem; overflow-wrap: anywhere; }
ul { list-style: none; padding: 0; margin: .6rem 0; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
`;
