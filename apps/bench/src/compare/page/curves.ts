/** Loss against wall time as a drawing: one line for each crew, all of one training on one pair of axes. */
import type { CurvePoint } from '@lockstep/train';
import type { OwnRow, TrainingResult } from '../results.ts';
import { html, type Markup } from './markup.ts';

const width = 440;
const height = 220;
const frame = { left: 40, right: 12, top: 8, bottom: 30 } as const;

export function curveCard({ training, rows }: TrainingResult): Markup {
  const own = rows.filter((row): row is OwnRow => row.kind === 'lockstep');
  const smooth = own.map(({ curve }) => smoothed(curve));
  const seconds = Math.max(...smooth.flatMap((curve) => curve.map((point) => point.seconds)), 1e-9);
  const loss = Math.max(...smooth.flatMap((curve) => curve.map((point) => point.loss)), 1e-9);
  const x = (value: number): number => frame.left + (value / seconds) * (width - frame.left - frame.right);
  const y = (value: number): number => height - frame.bottom - (value / loss) * (height - frame.top - frame.bottom);
  const lines = own.map(({ crew }, index) => {
    const path = smooth[index]!.map(
      (point, at) => `${at === 0 ? 'M' : 'L'}${x(point.seconds).toFixed(1)} ${y(point.loss).toFixed(1)}`,
    );
    const dash = crew.kind === 'single' ? 0 : Math.min(crew.count, 4);
    return html`<path class="curve ${crew.kind}-line step-${dash}" d="${path.join('')}"></path>`;
  });
  const across = ticks(seconds).map(
    (tick) =>
      html`<text x="${x(tick).toFixed(1)}" y="${height - 10}" text-anchor="${tick === 0 ? 'start' : x(tick) > width - 30 ? 'end' : 'middle'}">${label(tick)} s</text>`,
  );
  const up = ticks(loss).map(
    (tick) =>
      html`<line class="axis" x1="${frame.left}" x2="${width - frame.right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"></line><text x="${frame.left - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${label(tick)}</text>`,
  );
  const title = `Loss against seconds, ${training.name}`;
  return html`<section class="card"><h3>${training.name}</h3><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">${up}${across}${lines}</svg></section>`;
}

export function crewKeys(rows: readonly OwnRow[]): Markup {
  return html`<p>${rows.map(({ name, crew }) => {
    const dash = crew.kind === 'single' ? 0 : Math.min(crew.count, 4);
    return html`<span class="key"><svg viewBox="0 0 28 10" style="width:28px"><path class="curve ${crew.kind}-line step-${dash}" d="M0 5L28 5"></path></svg>${name}</span>`;
  })}</p>`;
}

/** A running mean over a thirtieth of the run, so that lines can be told apart. */
function smoothed(curve: readonly CurvePoint[]): { readonly seconds: number; readonly loss: number }[] {
  const reach = Math.floor(curve.length / 60);
  return curve.map(({ seconds }, index) => {
    const near = curve.slice(Math.max(0, index - reach), index + reach + 1);
    return { seconds, loss: near.reduce((sum, { loss }) => sum + loss, 0) / near.length };
  });
}

/** 0 and round numbers up to `most`: three to six of them. */
function ticks(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)!;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

function label(tick: number): string {
  return `${Number(tick.toPrecision(6))}`;
}
