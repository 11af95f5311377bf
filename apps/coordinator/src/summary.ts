/** The last lines of a run: how good the model is, which workers computed it, and what went wrong on the way. */
import { type Column, formatTable } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { type Colors, percent, thousands } from './format.ts';

export function summaryLines(report: Report, colors: Colors): string[] {
  const last = report.epochs.at(-1);
  const lines: string[] = [''];
  if (last) lines.push(`${colors.bold(`${percent(last.testAccuracy)} of the test images are read right`)}`);
  const rate = `${thousands(report.imagesPerSecond)} images/s`;
  lines.push(`${thousands(report.steps)} steps in ${report.wallSeconds.toFixed(1)} s, ${rate}`);
  if (report.config.workers !== 'single') lines.push('', ...workerTable(report), '');
  const { gradients } = report.config;
  const why = gradients === undefined ? 'the workers round differently' : `gradients traveled as ${gradients}`;
  const exactness =
    report.exactness === 'bit-exact'
      ? 'bit-exact: any number of such workers gives these weights'
      : `sample-exact: each sample counted once; ${why}`;
  lines.push(`weights ${report.weightsSha256.slice(0, 16)}…  ${exactness}`);
  const { disconnects, reassigned, duplicated, rejected } = report.faults;
  if (disconnects + reassigned + duplicated + rejected > 0) {
    lines.push(
      `${disconnects} disconnects, ${reassigned} shards reassigned, ${duplicated} duplicated, ${rejected} results rejected: none changed the weights`,
    );
  }
  return lines;
}

const columns: readonly Column[] = [
  ...['', 'worker', 'on'].map((header) => ({ header })),
  ...['shards', 'share', 'compute', 'wait'].map((header) => ({ header, align: 'right' as const })),
];

function workerTable({ workers, steps, wire }: Report): string[] {
  const total = workers.reduce((sum, worker) => sum + worker.samples, 0);
  const rows = workers.map(({ id, name, backend, shards, samples, computeMs, waitMs }) => [
    id,
    name,
    backend,
    thousands(shards),
    percent(total > 0 ? samples / total : 0),
    `${(computeMs / 1000).toFixed(1)} s`,
    `${(waitMs / 1000).toFixed(1)} s`,
  ]);
  const megabytes = (wire.bytesSent + wire.bytesReceived) / 1e6;
  const perStep = steps > 0 ? `, ${(megabytes / steps).toFixed(2)} MB a step` : '';
  return [...formatTable(columns, rows).split('\n'), `${thousands(megabytes)} MB over the wire${perStep}`];
}
