/** Turns JSON Lines into a data set. */
import { DataError } from '../data-error.ts';
import { type Dataset, type SampleValues, sampleSize } from '../dataset.ts';
import { splitIndices, takeSamples } from '../split.ts';
import type { JsonLines } from './json-lines.ts';
import { fitTargets, labelColumn, targetsOf } from './labels.ts';
import { firstBeyondBytes } from './nested-values.ts';
import { foundLine, type OpenedDataset, partsText, plural, targetsText } from './opened-dataset.ts';
import { requireColumn, shownName } from './table.ts';
import { allRows, classNames, datasetFromTable, type TableOptions } from './table-dataset.ts';

/**
 * Turns the objects of a JSON Lines file into samples and their labels.
 * Arrays whose numbers are all whole from 0 to 255, like pixels, become bytes; others stay as they are. For an already
 * trained model, arrays become what the model takes. Values to learn are standardized by the mean and deviation of the
 * training lines.
 * @param test the test samples; without it, a seeded part of `lines`
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
  const areBytes = options.like?.bytes ?? holdBytes(test ? [lines, test] : [lines]);
  const labeled = (part: JsonLines): Dataset => {
    const column = requireColumn(part.table, label.name, 'the label');
    const targets = targetsOf(part.table, column, names, standardization);
    const values = areBytes ? bytesOf(part) : part.samples!.values;
    return { samples: values, sampleShape: samples.shape, count: part.table.count, targets };
  };
  const all = labeled(lines);
  const parts = rows
    ? { train: takeSamples(all, rows.train), test: takeSamples(all, rows.test) }
    : { train: all, test: labeled(test!) };
  const kind = areBytes ? 'bytes' : 'numbers';
  const what = `${plural(table.count + (test?.table.count ?? 0), 'line')}, ${samples.shape.join(' x ')} ${kind} each`;
  const counts = partsText(parts, test ? undefined : options);
  const found = foundLine(
    [table, test?.table],
    `${what}, ${targetsText(given)} in ${shownName(label.name)}; ${counts}`,
  );
  return { ...parts, found };
}

function requireShape({ table, samples }: JsonLines, shape: readonly number[], like: string): void {
  if (samples?.shape.join() === shape.join()) return;
  const got = samples?.shape.join(' x ') ?? 'none';
  throw new DataError(`${table.name}: expected arrays of ${shape.join(' x ')}, as in ${like}, got ${got}`);
}

/** Whether all values are bytes. Zeros and ones alone are flags rather than pixels. */
function holdBytes(parts: readonly JsonLines[]): boolean {
  const values = parts.map(({ samples }) => samples!.values);
  return values.every((one) => firstBeyondBytes(one) < 0) && values.some((one) => one.some((value) => value > 1));
}

/** @throws DataError that names the line of a number that is not a byte */
function bytesOf({ table, samples }: JsonLines): SampleValues {
  const { values, shape } = samples!;
  const at = firstBeyondBytes(values);
  if (at < 0) return Uint8Array.from(values);
  const place = table.placeOf(Math.floor(at / sampleSize({ sampleShape: shape })));
  throw new DataError(
    `${table.name}: ${place}: expected whole numbers from 0 to 255, as in training, got ${values[at]}`,
  );
}
