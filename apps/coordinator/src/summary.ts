/** The last lines of a run: how good the model is, which workers computed it, and what went wrong. */

import {
  bytesText,
  decimals,
  durationText,
  formatTable,
  measured,
  type PrintedColumn,
  percent,
  plural,
  shownLine,
  thousands,
} from '@lockstep/command';
import { claimText } from '@lockstep/rules';
import type { EpochReport, Report } from '@lockstep/train';
import {
  heldOutWord,
  imbalanceLines,
  keptEpochOf,
  keptText,
  metricsLines,
  samplesText,
  textQuality,
} from '@lockstep/train/command-line';
import type { Colors } from './display.ts';

/**
 * @param isDivergenceTold whether the failure, which is printed after the summary, says that training has diverged
 * @param width most characters in a line of a table, if it can have fewer columns
 */
export function summaryLines(
  report: Report,
  colors: Colors,
  isDivergenceTold = false,
  width = Number.POSITIVE_INFINITY,
): string[] {
  const { kept, epochs } = report;
  const last = keptEpochOf(report);
  const lines: string[] = [''];
  const { metrics } = report;
  const { data } = report.config;
  if (last && !(isDivergenceTold && !Number.isFinite(last.testLoss)))
    lines.push(colors.bold(qualityLine(last, report)));
  if (report.validationMetrics && 'perplexity' in report.validationMetrics) {
    lines.push(`Validation ${textQuality(report.validationMetrics, data.unit)}`);
  }
  if (metrics && 'classes' in metrics) lines.push(...imbalanceLines(metrics, 'classWeights' in data.targetField));
  if (kept) lines.push(keptText(kept, epochs.at(-1)!.epoch));
  const rate = `${samplesText(report.imagesPerSecond, data)}/s`;
  lines.push(`${plural(report.steps, 'step')} in ${durationText(report.wallSeconds, 1)}, ${rate}`);
  const table = metrics ? metricsLines(metrics, width) : [];
  const isSingle = report.config.workers === 'single';
  const hasWorkers = !isSingle && report.workers.length > 0;
  if (table.length > 0) lines.push('', ...table, ...(hasWorkers ? [] : ['']));
  if (hasWorkers) lines.push('', ...workerTable(report), '');
  lines.push(`weights ${report.weightsSha256.slice(0, 16)}…  ${claimLine(report)}`);
  if (report.rewinds.length > 0) lines.push(rewindLine(report.rewinds));
  const { disconnects, reassigned, duplicated, rejected } = report.faults;
  if (!isSingle && disconnects + reassigned + duplicated + rejected > 0) {
    const faults = {
      disconnects,
      'shards reassigned': reassigned,
      'shards duplicated': duplicated,
      'messages rejected': rejected,
    };
    const counts = Object.entries(faults).flatMap(([name, count]) =>
      count > 0 ? [`${name} ${thousands(count)}`] : [],
    );
    const text = counts.join(', ');
    // In the other modes, the bits depend on which worker computed what.
    lines.push(report.exactness === 'bit-exact' ? `${text}; none changed the weights` : text);
  }
  return lines;
}

function qualityLine({ testLoss, testAccuracy, testR2, testRmse }: EpochReport, { metrics, config }: Report): string {
  const { data, testSamples } = config;
  const testSet = samplesText(testSamples, data);
  if (!Number.isFinite(testLoss)) {
    return 'Training diverged: the test loss is not finite; try a smaller learning rate';
  }
  if (metrics && 'perplexity' in metrics) {
    const heldOut = heldOutWord(config);
    return `${heldOut === 'test' ? 'Test' : 'Validation'} ${textQuality(metrics, data.unit)}`;
  }
  if (testAccuracy !== null) return `Test accuracy ${percent(testAccuracy)} (${testSet})`;
  const explained = testR2 === null ? '' : `, ${explainedText(testR2)}`;
  const absolute = metrics && 'outputs' in metrics ? `, MAE ${measured(metrics.mae)}` : '';
  return `Test RMSE ${measured(testRmse!)}${absolute}${explained} (${testSet})`;
}

/** Says how many steps and seconds wrong results have cost. */
function rewindLine(rewinds: Report['rewinds']): string {
  const steps = rewinds.reduce((sum, { fromStep, toStep }) => sum + fromStep - toStep, 0);
  const seconds = rewinds.reduce((sum, rewind) => sum + rewind.seconds, 0);
  const workers = [...new Set(rewinds.map(({ worker }) => worker))].join(', ');
  return `went back ${thousands(steps)} steps (${durationText(seconds, 1)}), because results of ${workers} were wrong`;
}

/** Below -1 the model is useless, and the exact value says nothing more. */
function explainedText(r2: number): string {
  if (r2 < -1) return 'far worse than always predicting the mean; try a smaller learning rate';
  return `R² ${decimals(r2)}`;
}

/** The run's claim about its weights, and its meaning. */
function claimLine(report: Report): string {
  const { exactness, bitExactAmong } = report;
  const text = claimText(report);
  switch (exactness) {
    case null:
      return text;
    case 'bit-exact':
      return bitExactAmong === null
        ? `${text} on any number of workers`
        : `${text}: equal up to rounding on other workers`;
    case 'sample-exact':
      return `${text}: every sample counted once, but the workers round differently`;
    case 'unverified':
      return `${text}: the weights may include wrong results of a quarantined worker, from before the run was resumed`;
    default:
      return exactness satisfies never;
  }
}

const columns: readonly PrintedColumn[] = [
  ...['', 'worker', 'on'].map((header) => ({ header })),
  ...['shards', 'share', 'compute', 'wait'].map((header) => ({ header, align: 'right' as const })),
];

const nameLength = 24;

function workerTable({ workers, steps, wire }: Report): string[] {
  const total = workers.reduce((sum, worker) => sum + worker.samples, 0);
  const rows = workers.map(({ id, name, backend, workersBehind, shards, samples, computeMs, waitMs }) => [
    id,
    shownLine(name, nameLength),
    workersBehind === undefined ? backend : `${workersBehind} behind it`,
    thousands(shards),
    percent(total > 0 ? samples / total : 0),
    durationText(computeMs / 1000, 1),
    durationText(waitMs / 1000, 1),
  ]);
  const bytes = wire.bytesSent + wire.bytesReceived;
  const perStep = steps > 0 ? `, ${bytesText(bytes / steps)} per step` : '';
  return [...formatTable(columns, rows).split('\n'), `${bytesText(bytes)} over the wire${perStep}`];
}
