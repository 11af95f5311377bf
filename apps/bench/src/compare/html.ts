/** The page of a comparison: one self-contained file with the report, uPlot and the charts. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { milliseconds, thousands } from '../output.ts';
import type { CompareReport } from './compare.ts';
import type { Workers } from './lockstep-run.ts';
import { isLockstep, isTimed, stepParts, type TrainingResult } from './results.ts';
import { ratioCells, ratioHeaders, rowName } from './text.ts';

export interface Markup {
  readonly markup: string;
}

type Part = Markup | string | number | readonly Part[];

/** `<p>${text}</p>`: escapes strings and numbers; inserts markup and lists of markup unchanged. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { markup: strings.reduce((text, next, index) => text + textOf(parts[index - 1]!) + next) };
}

function textOf(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') {
    return `${part}`.replace(/[&<>"]/g, (character) => escapes[character]!);
  }
  return 'markup' in part ? part.markup : part.map(textOf).join('');
}

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

const { resolve } = createRequire(import.meta.url);
const pageFile = (name: string): string => readFileSync(new URL(`../../compare-page/${name}`, import.meta.url), 'utf8');
const libraryFile = (name: string): string => readFileSync(resolve(`uplot/dist/${name}`), 'utf8');

export function pageOf(report: CompareReport): string {
  const { results, machine, lockstep, startedAt, wallSeconds, conclusion, accuracy } = report;
  const scripts = [libraryFile('uPlot.iife.min.js'), pageFile('charts.js')];
  const hashes = scripts.map((script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src ${hashes.join(' ')}">
<title>One process or many? A Lockstep comparison</title>
<style>${{ markup: libraryFile('uPlot.min.css') + pageFile('style.css') }}</style>
</head>
<body>
<header>
<h1>One process or many?</h1>
<p class="quiet">${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB · ${machine.platform} · Node ${machine.node} · Lockstep ${lockstep} · ${startedAt.slice(0, 16).replace('T', ' ')} UTC</p>
</header>
<section class="conclusion" aria-label="Conclusion">${conclusion.map((message) => html`<p>${message}</p>`)}</section>
<main>
${chartSections(report)}
<h2>All figures</h2>
${figures(results, accuracy)}
${listOf(results.flatMap(({ rows }) => rows.flatMap((row) => (row.kind === 'missing' ? [`${row.name} ${row.status}: ${row.reason}`] : []))))}
<h2>How it was measured</h2>
<p>“2 processes” counts the coordinator, which computes too, as each process of DDP does. “2 workers” are two processes besides the coordinator. Each row of Lockstep is the program itself, started anew for each round; its start-up and the first two thirds of its steps, in which the engine still compiles and workers get their samples, do not count. Every row takes a turn in every round, and ratios are taken round by round. All train with plain SGD from the same initial weights on the same batches; peers find theirs ready as float32 and are first checked against one step on plain loops.</p>
<p>The accuracy of ${Math.round(accuracy * 100)} % is that of the training samples as they come, each before it is trained on, over the last 1,000 or more. Bytes are those of all workers' sockets, both ways, joining included.</p>
<details><summary>The commands</summary><ul>${results.flatMap(({ rows }) => rows.filter(isLockstep).map(({ command }) => html`<li><code>${command}</code></li>`))}</ul></details>
${listOf(results.flatMap(({ rows }) => rows.flatMap((row) => (row.kind === 'peer' ? [`${rowName(row)}: ${row.notes.join('; ')}`] : []))))}
<p class="quiet">Measured in ${Math.round(wallSeconds)} s.</p>
</main>
<script type="application/json" id="report">${{ markup: JSON.stringify(report).replaceAll('<', '\\u003c') }}</script>
<script>${{ markup: scripts[0]! }}</script>
<script type="module">${{ markup: scripts[1]! }}</script>
</body>
</html>
`;
  return page.markup;
}

function keys(colors: readonly (readonly [color: string, title: string])[]): Markup {
  return html`<p class="keys">${colors.map(([color, title]) => html`<span class="key"><i style="background:var(--${color})"></i>${title}</span>`)}</p>`;
}

function chartSections({ results, rounds }: CompareReport): Markup {
  const rows = results.flatMap((result) => result.rows);
  const has = (kind: Workers['kind']): boolean => rows.some((row) => isLockstep(row) && row.workers.kind === kind);
  const [hasTabs, hasProcesses] = [has('tabs'), has('processes')];
  const kinds = keys([
    ['threads', 'Lockstep, threads of one process'],
    ...(hasProcesses ? [['processes', 'Lockstep, processes, the coordinator among them'] as const] : []),
    ['workers', 'Lockstep, workers beside the coordinator'],
    ...(hasTabs ? [['tabs', 'Lockstep, browser tabs'] as const] : []),
    ...(rows.some(({ kind }) => kind === 'peer') ? [['peer', 'others'] as const] : []),
  ]);
  return html`<h2>Images a second</h2>
<p class="quiet">Medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'}; the thin line spans them. Beside it: times as fast as one thread of Lockstep.</p>
${kinds}
${cards(results, 'throughput', 'Images a second')}
<h2>Where a step goes</h2>
<p class="quiet">Medians, milliseconds, measured in the coordinator and its workers. Parts follow one another from left to right in this order; the table below has their figures.</p>
${keys(stepParts.map((part) => [part, partTitles[part]]))}
${cards(results, 'step', 'Parts of a step')}
<h2>Loss against wall time</h2>
<p class="quiet">${curveMessage(results)} The dot at the end of a line has the number of its threads, processes${hasTabs ? ', workers or tabs' : ' or workers'}; the line of one thread is solid.</p>
${cards(results, 'curves', 'Loss against seconds')}`;
}

const partTitles = {
  compute: 'compute',
  pack: 'pack (frame, hand over, checksum)',
  send: 'send (both ways; in one process, gather the next batch)',
  wait: 'wait for the last',
  reduce: 'reduce',
  optimizer: 'optimizer',
} as const;

function cards(results: readonly TrainingResult[], chart: string, title: string): Markup {
  return html`<div class="cards">${results.map(
    ({ training: { name } }, index) =>
      html`<section class="card"><h3>${name}</h3><div class="plot" data-chart="${chart}" data-training="${index}" role="img" aria-label="${title}, ${name}"></div></section>`,
  )}</div>`;
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
      const ms = row.kind === 'lockstep' ? row.parts : null;
      const parts = stepParts.map((part) => (ms === null ? '' : milliseconds(ms[part])));
      const cells = [
        thousands(median),
        thousands(min),
        thousands(max),
        ...ratioCells(row),
        milliseconds(row.msPerStep.median),
        ...parts,
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
