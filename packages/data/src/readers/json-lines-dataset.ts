/** JSON Lines as a data set. */
import { DataError } from '../data-error.ts';
import type { Dataset } from '../dataset.ts';
import { splitIndices, takeSamples } from '../split.ts';
import type { JsonLines } from './json-lines.ts';
import { fitTargets, labelColumn, targetsOf } from './labels.ts';
import { asBytes } from './nested-values.ts';
import { type OpenedDataset, partsText, plural, targetsText } from './opened-dataset.ts';
import { requireColumn } from './table.ts';
import { allRows, classNames, datasetFromTable, type TableOptions } from './table-dataset.ts';

interface Parts {
  readonly train: Dataset;
  readonly test: Dataset;
}

/**
 * Objects of a JSON Lines file as samples and their labels.
 *
 * Arrays whose numbers are all whole from 0 to 255, as those of pictures, become bytes; others stay as they are. Values to
 * learn are standardized by the mean and deviation of the lines to train with.
 * @param test the samples to test with; without it, a seeded part of `lines`
 * @throws DataError
 */
export function datasetFromJsonLines(lines: JsonLines, options: TableOptions = {}, test?: JsonLines): OpenedDataset {
  if (!lines.samples) return datasetFromTable(lines.table, options, test?.table);
  const { table, samples } = lines;
  const label = labelColumn(table, options.label);
  const names = classNames(table, label, options);
  const given = targetsOf(table, label, names);
  if (test) requireShape(test, samples.shape, table.name);
  const rows = test ? undefined : splitIndices(given, table.count, table.name, options);
  const standardization = options.like
    ? options.like.standardization
    : fitTargets(table, label, names, rows?.train ?? allRows(table));
  const labeled = (part: JsonLines): Dataset => {
    const column = requireColumn(part.table, label.name, 'the label');
    const targets = targetsOf(part.table, column, names, standardization);
    return { samples: part.samples!.values, sampleShape: samples.shape, count: part.table.count, targets };
  };
  const all = labeled(lines);
  const numbers = rows
    ? { train: takeSamples(all, rows.train), test: takeSamples(all, rows.test) }
    : { train: all, test: labeled(test!) };
  const parts = bytesOf(numbers) ?? numbers;
  const kind = parts === numbers ? 'numbers' : 'bytes';
  const what = `${plural(table.count + (test?.table.count ?? 0), 'line')}, ${samples.shape.join(' x ')} ${kind} each`;
  const counts = partsText(parts, test ? undefined : options);
  return { ...parts, found: `${table.name}: ${what}, ${targetsText(given)} in ${label.name}; ${counts}` };
}

function requireShape({ table, samples }: JsonLines, shape: readonly number[], like: string): void {
  if (samples?.shape.join() === shape.join()) return;
  const got = samples?.shape.join(' x ') ?? 'none';
  throw new DataError(`${table.name}: expected arrays of ${shape.join(' x ')}, as in ${like}, got ${got}`);
}

function bytesOf({ train, test }: Parts): Parts | undefined {
  const [trainBytes, testBytes] = [train, test].map(({ count, samples }) =>
    count === 0 ? new Uint8Array() : asBytes(samples as Float32Array),
  );
  if (!trainBytes || !testBytes) return undefined;
  return { train: { ...train, samples: trainBytes }, test: { ...test, samples: testBytes } };
}
