/** Metrics as lines of a terminal. */
import { decimals, formatTable, measured, type PrintedColumn, percent, shownLine, thousands } from '@lockstep/command';
import {
  type ClassificationMetrics,
  type ClassMetrics,
  type Metrics,
  rateNames,
  rates,
  type TextMetrics,
} from '@lockstep/nn';

/** Classes or values up to this number all have a row; of more, the worst ones have. */
const mostRows = 20;
const worstRows = 10;
const nameLength = 24;
/** Class, samples, precision, recall and F1. */
const fewestColumns = 5;
/** Above this part of the samples in one class, accuracy says little of the others. */
const largestBalancedPart = 0.8;

const number = (header: string): PrintedColumn => ({ header, align: 'right' });

/**
 * A table with a row for each class or value, or for the worst ten of many; none for a single value.
 * @param width most characters in a line; the last columns are omitted if they do not fit
 */
export function metricsLines(metrics: Metrics, width = Number.POSITIVE_INFINITY): string[] {
  if ('classes' in metrics) {
    const { classes, macro } = metrics;
    const columns = [{ header: 'class' }, number('samples'), ...rates.map((rate) => number(rateNames[rate]))];
    const shown = worstOf(classes, ({ support, f1 }) => (support === 0 ? Number.POSITIVE_INFINITY : f1));
    const cells = (of: Pick<ClassMetrics, (typeof rates)[number]>) => rates.map((rate) => rateText(of[rate]));
    const rows = shown.map((own) => [shownLine(own.name, nameLength), thousands(own.support), ...cells(own)]);
    const total = classes.reduce((sum, { support }) => sum + support, 0);
    rows.push(['macro average', thousands(total), ...cells(macro)]);
    let lines = formatTable(columns, rows).split('\n');
    while (columns.length > fewestColumns && lines[0]!.length > width) {
      for (const row of [columns, ...rows]) row.pop();
      lines = formatTable(columns, rows).split('\n');
    }
    return [...headingOf(shown, classes, 'classes', 'F1'), ...lines];
  }
  if ('perplexity' in metrics) return [];
  const { outputs } = metrics;
  if (outputs.length === 1) return [];
  const columns = [{ header: 'value' }, ...['MAE', 'RMSE', 'R²'].map(number)];
  const shown = worstOf(outputs, ({ r2 }) => r2 ?? Number.POSITIVE_INFINITY);
  const rows = [...shown, { ...metrics, name: 'all values' }].map(({ name, mae, rmse, r2 }) => [
    ...[shownLine(name, nameLength), measured(mae), measured(rmse)],
    r2 === null ? '-' : decimals(r2),
  ]);
  return [...headingOf(shown, outputs, 'values', 'R²'), ...formatTable(columns, rows).split('\n')];
}

/** Such as `loss 1.912 (perplexity 6.77, 2.76 bits per byte; 241,000 characters)`. @param unit name of a token */
export function textQuality({ loss, perplexity, bitsPerByte, tokens }: TextMetrics, unit = 'tokens'): string {
  const figures = `perplexity ${measured(perplexity)}, ${bitsPerByte.toFixed(2)} bits per byte`;
  return `loss ${loss.toFixed(3)} (${figures}; ${thousands(tokens)} ${unit})`;
}

/** Lines for a classifier tested on samples of which one class has most; accuracy alone would hide the others. */
export function imbalanceLines({ classes, balancedAccuracy }: ClassificationMetrics, isWeighted: boolean): string[] {
  const supports = classes.map(({ support }) => support).filter((support) => support > 0);
  const total = supports.reduce((sum, support) => sum + support, 0);
  if (supports.length < 2 || Math.max(...supports) <= largestBalancedPart * total) return [];
  const smallest = classes.find(({ support }) => support === Math.min(...supports))!;
  const { name, recall, support } = smallest;
  const found = `${thousands(Math.round(recall * support))} of ${thousands(support)}`;
  return [
    `Imbalanced classes: balanced accuracy ${percent(balancedAccuracy)}, recall of ${shownLine(name, nameLength)} ${percent(recall)} (${found})`,
    ...(isWeighted ? [] : ['To give rare classes more weight in training, use --class-weights balanced.']),
  ];
}

function rateText(value: number | null): string {
  return value === null ? '-' : value.toFixed(4);
}

function worstOf<Row>(rows: readonly Row[], quality: (row: Row) => number): readonly Row[] {
  if (rows.length <= mostRows) return rows;
  return [...rows].sort((a, b) => quality(a) - quality(b)).slice(0, worstRows);
}

function headingOf(shown: readonly unknown[], all: readonly unknown[], what: string, quality: string): string[] {
  return shown.length === all.length ? [] : [`the ${worstRows} of ${all.length} ${what} with the lowest ${quality}`];
}
