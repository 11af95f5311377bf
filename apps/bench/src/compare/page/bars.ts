/** Bars and dots of a comparison, in plain HTML so that their text keeps its size on any screen. */
import { stepParts } from '../figures.ts';
import type { OwnRow, PeerRow, ResultRow, TrainingResult } from '../results.ts';
import { thousands } from '../table.ts';
import { milliseconds, times } from '../verdict.ts';
import { html, type Markup } from './markup.ts';

type Timed = OwnRow | PeerRow;

export function isTimed(row: ResultRow): row is Timed {
  return row.kind !== 'missing';
}

/** The class that a row is colored by. */
export function classOf(row: Timed): 'single' | 'workers' | 'tabs' | 'peer' {
  return row.kind === 'peer' ? 'peer' : row.crew.kind;
}

const percent = (part: number): string => `${(100 * part).toFixed(2)}%`;

/** Images a second of everybody, the longest bar being the fastest; the thin line spans the rounds. */
export function throughputCard({ training, rows }: TrainingResult): Markup {
  const timed = rows.filter(isTimed);
  const most = Math.max(...timed.map(({ imagesPerSecond }) => imagesPerSecond.max));
  return html`<section class="card"><h3>${training.name}</h3>${timed.map((row) => {
    const { imagesPerSecond, timesSingle, name } = row;
    const { min, max, median } = imagesPerSecond;
    const kind = row.kind === 'peer' ? name : `Lockstep, ${name}`;
    return html`<div class="bar"><span class="who">${kind}</span><span class="track"><span class="fill ${classOf(row)}" style="width:${percent(median / most)}"></span><span class="spread" style="left:${percent(min / most)};width:${percent((max - min) / most)}"></span></span><span class="value">${thousands(median)}<small>${times(timesSingle.median)}</small></span></div>`;
  })}</section>`;
}

/** Speed-up against one process on a logarithmic scale: a numbered dot for each number of workers, a ring for DDP. */
export function speedUps(results: readonly TrainingResult[]): Markup {
  const lanes = results.map(({ training, rows }) => ({
    name: training.name,
    own: rows.filter((row): row is OwnRow => row.kind === 'lockstep' && row.crew.kind !== 'single'),
    ddp: rows.flatMap((row) => (row.kind === 'peer' && row.speedUp !== null ? [row.speedUp.median] : [])),
  }));
  const ratios = lanes.flatMap(({ own, ddp }) => [...own.map(({ timesSingle }) => timesSingle.median), ...ddp]);
  if (ratios.length === 0) return html``;
  const ticks = ticksAround(Math.min(...ratios), Math.max(...ratios));
  const [from, to] = [Math.log2(ticks[0]!), Math.log2(ticks.at(-1)!)];
  const place = (ratio: number): string => percent((Math.log2(ratio) - from) / (to - from));
  const lines = ticks.map(
    (tick) => html`<span class="grid-line ${tick === 1 ? 'one' : ''}" style="left:${place(tick)}"></span>`,
  );
  const rows = lanes.map(({ name, own, ddp }) => {
    const rings = ddp.map(
      (ratio) =>
        html`<span class="dot peer" style="left:${place(ratio)}" title="PyTorch DDP against PyTorch: ${times(ratio)}"></span>`,
    );
    const dots = own.map((row) => {
      const count = row.crew.kind === 'single' ? 1 : row.crew.count;
      const ratio = row.timesSingle.median;
      return html`<span class="dot ${classOf(row)}" style="left:${place(ratio)}" title="${row.name}: ${times(ratio)}">${count}</span>`;
    });
    return html`<div class="dots"><span>${name}</span><span class="lane">${lines}${dots}${rings}</span></div>`;
  });
  const scale = html`<div class="scale">${ticks.map((tick) => html`<span style="left:${place(tick)}">${tick}x</span>`)}</div>`;
  return html`<div class="card">${rows}${scale}</div>`;
}

/** Powers of two that hold both ratios, and 1. */
function ticksAround(least: number, most: number): number[] {
  const from = Math.min(-1, Math.floor(Math.log2(least) - 0.05));
  const to = Math.max(1, Math.ceil(Math.log2(most) + 0.05));
  return Array.from({ length: to - from + 1 }, (_, index) => 2 ** (from + index));
}

/** Each crew's median step, cut into what it was spent on; bars of one training share a scale. */
export function stepCard({ training, rows }: TrainingResult): Markup {
  const own = rows.filter((row): row is OwnRow => row.kind === 'lockstep' && row.parts !== null);
  const totals = own.map(({ parts }) => stepParts.reduce((sum, part) => sum + parts![part], 0));
  const most = Math.max(...totals);
  return html`<section class="card"><h3>${training.name}</h3>${own.map(({ name, parts }, index) => {
    const pieces = stepParts.map(
      (part) =>
        html`<i class="part-${part}" style="width:${percent(parts![part] / most)}" title="${part}: ${milliseconds(parts![part])} ms"></i>`,
    );
    return html`<div class="bar"><span class="who">${name}</span><span class="stack">${pieces}</span><span class="value">${milliseconds(totals[index]!)} ms</span></div>`;
  })}</section>`;
}

const partTitles = {
  compute: 'compute',
  pack: 'pack (frame, hand over, checksum)',
  send: 'send (both ways; in one process, gather the next batch)',
  wait: 'wait for the last',
  reduce: 'reduce',
  optimizer: 'optimizer',
} as const;

export function partKeys(): Markup {
  return html`<p>${stepParts.map((part) => html`<span class="key"><i class="part-${part}"></i>${partTitles[part]}</span>`)}</p>`;
}
