/** The page of a comparison: one file that needs nothing else, neither scripts nor fonts nor a network. */
import type { CompareReport, OwnRow, PeerRow, TrainingResult } from '../results.ts';
import { thousands } from '../table.ts';
import { times } from '../verdict.ts';
import { isTimed, partKeys, speedUps, stepCard, throughputCard } from './bars.ts';
import { crewKeys, curveCard } from './curves.ts';
import { html, type Markup } from './markup.ts';
import { style } from './style.ts';

export function pageOf(report: CompareReport): string {
  const { results, machine, rounds, lockstep, startedAt, wallSeconds, verdict, accuracy } = report;
  const crews = (results[0]?.rows ?? []).filter((row): row is OwnRow => row.kind === 'lockstep');
  const hasTabs = crews.some(({ crew }) => crew.kind === 'tabs');
  const hasPeers = results.some(({ rows }) => rows.some(({ kind }) => kind === 'peer'));
  const hasDdp = results.some(({ rows }) => rows.some((row) => row.kind === 'peer' && row.speedUp !== null));
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>One process or many? A Lockstep comparison</title>
${style}
</head>
<body>
<header>
<h1>One process or many?</h1>
<p class="quiet">${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB · ${machine.platform} · Node ${machine.node} · Lockstep ${lockstep} · ${startedAt.slice(0, 16).replace('T', ' ')} UTC</p>
</header>
<section class="verdict" aria-label="Verdict">${verdict.map((message) => html`<p>${message}</p>`)}</section>
<main>
<h2>Images a second</h2>
<p class="quiet">Medians of ${rounds} interleaved round${rounds === 1 ? '' : 's'}; the thin line spans them. Beside it: times as fast as one Lockstep process.</p>
<p><span class="key"><i class="single"></i>Lockstep, one process</span><span class="key"><i class="workers"></i>Lockstep, worker processes</span>${hasTabs ? html`<span class="key"><i class="tabs"></i>Lockstep, browser tabs</span>` : ''}${hasPeers ? html`<span class="key"><i class="peer"></i>others</span>` : ''}</p>
<div class="cards">${results.map(throughputCard)}</div>
<h2>Speed-up</h2>
<p class="quiet">Against one process at the same batch; the number in a dot is that of its workers.${hasDdp ? ' The ring is PyTorch DDP (gloo, 2 processes) against PyTorch in one.' : ''}</p>
<p><span class="key"><i class="round workers"></i>workers</span>${hasTabs ? html`<span class="key"><i class="round tabs"></i>tabs</span>` : ''}${hasDdp ? html`<span class="key"><i class="ring"></i>PyTorch DDP</span>` : ''}</p>
${speedUps(results)}
<h2>Where a step goes</h2>
<p class="quiet">Medians, milliseconds, measured in the coordinator and its workers. Parts follow one another.</p>
${partKeys()}
<div class="cards">${results.map(stepCard)}</div>
<h2>Loss against wall time</h2>
<p class="quiet">${curveMessage(results)}</p>
${crewKeys(crews)}
<div class="cards">${results.map(curveCard)}</div>
<h2>All figures</h2>
${table(results, accuracy)}
${missing(results)}
<h2>How it was measured</h2>
<p>Each row of Lockstep is the program itself, started anew for each round; its start-up and the first half of its steps, in which the engine still compiles, do not count. Everybody takes a turn in every round, and ratios are taken round by round. All train with plain SGD from the same initial weights on the same batches; peers find theirs ready as float32 and are first held against one step in double precision.</p>
<p>The accuracy of ${Math.round(accuracy * 100)} % is that of the training samples as they come, each before it is learnt from, over the last 1,000 or more. Bytes are those of all workers' sockets, both ways, joining included.</p>
<details><summary>The commands</summary><ul class="plain">${results.flatMap(({ rows }) => rows.flatMap((row) => (row.kind === 'lockstep' ? [html`<li><code>${row.command}</code></li>`] : [])))}</ul></details>
${notes(results)}
<p class="quiet">Measured in ${Math.round(wallSeconds)} s.</p>
</main>
</body>
</html>
`;
  return page.markup;
}

function curveMessage(results: readonly TrainingResult[]): string {
  const equal = results.every(({ sameWeights }) => sameWeights);
  const furthest = Math.max(...results.map(({ curveDistance }) => curveDistance));
  if (equal && furthest === 0) {
    return 'At equal batch every crew takes the same steps: at each step their losses are equal, and the final weights to the bit. Only the clock differs.';
  }
  return `At equal batch every crew takes the same steps; with mixed arithmetic their losses at a step differ by at most ${furthest.toExponential(1)}.`;
}

function table(results: readonly TrainingResult[], accuracy: number): Markup {
  const head = [
    'images/s',
    'min',
    'max',
    'against one process',
    'efficiency',
    `s to ${Math.round(accuracy * 100)} %`,
    'MB a step',
  ];
  const bodies = results.map(
    ({ training, rows }) =>
      html`<tr class="head"><th colspan="${head.length + 1}">${training.name}: ${thousands(training.parameters)} parameters, ${training.steps} steps</th></tr>${rows.filter(isTimed).map(tableRow)}`,
  );
  return html`<div class="table card"><table><thead><tr><th></th>${head.map((title) => html`<th>${title}</th>`)}</tr></thead><tbody>${bodies}</tbody></table></div>`;
}

function tableRow(row: OwnRow | PeerRow): Markup {
  const { imagesPerSecond, timesSingle } = row;
  const ratio = timesSingle.median;
  const tone = row.kind === 'peer' || Math.abs(ratio - 1) < 0.05 ? '' : ratio > 1 ? 'gain' : 'loss';
  const rest =
    row.kind === 'peer'
      ? [row.speedUp === null ? '' : `${times(row.speedUp.median)} its own`, '', '']
      : [
          row.efficiency === null ? '' : `${Math.round(row.efficiency * 100)} %`,
          row.secondsToAccuracy === null ? 'not reached' : row.secondsToAccuracy.median.toFixed(2),
          row.crew.kind === 'single' ? '0' : (row.bytesPerStep / 1e6).toFixed(2),
        ];
  const name = row.kind === 'peer' ? `${row.name} ${row.version}` : `Lockstep, ${row.name}`;
  const figures = [imagesPerSecond.median, imagesPerSecond.min, imagesPerSecond.max].map(thousands);
  return html`<tr><td>${name}</td>${figures.map((figure) => html`<td>${figure}</td>`)}<td class="${tone}">${times(ratio)}</td>${rest.map((cell) => html`<td>${cell}</td>`)}</tr>`;
}

/** What each peer is, and what is not here and how to get it; each sentence once. */
function notes(results: readonly TrainingResult[]): Markup {
  const rows = results.flatMap((result) => result.rows);
  const said = new Set(
    rows.flatMap((row) => (row.kind === 'peer' ? [`${row.name} ${row.version}: ${row.notes.join('; ')}`] : [])),
  );
  return said.size === 0
    ? html``
    : html`<ul class="plain quiet">${[...said].map((line) => html`<li>${line}</li>`)}</ul>`;
}

function missing(results: readonly TrainingResult[]): Markup {
  const rows = results.flatMap(({ rows }) => rows.flatMap((row) => (row.kind === 'missing' ? [row] : [])));
  const said = new Set(rows.map(({ name, why, reason }) => `${name} ${why}: ${reason}`));
  return said.size === 0
    ? html``
    : html`<ul class="plain quiet">${[...said].map((line) => html`<li>${line}</li>`)}</ul>`;
}
