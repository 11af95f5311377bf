/** JSON Lines as a data set. */
import { DataError } from '../data-error.ts';
import type { Dataset } from '../dataset.ts';
import { type SplitOptions, splitIndices, takeSamples } from '../split.ts';
import type { JsonLines } from './json-lines.ts';
import { classTargets, labelColumn, valueTargets } from './labels.ts';
import { asBytes } from './nested-values.ts';
import { type OpenedDataset, partsText, plural, targetsText } from './opened-dataset.ts';
import { requireColumn } from './table.ts';
import { classNames, datasetFromTable, type TableOptions } from './table-dataset.ts';

interface Parts {
  readonly train: Dataset;
  readonly test: Dataset;
}

/**
 * Objects of a JSON Lines file as samples and their labels.
 * Arrays whose numbers are all whole from 0 to 255, as those of pictures, become bytes; others stay as they are.
 * @param test the samples to test with; without it, a seeded part of `lines`
 * @throws DataError
 */
export function datasetFromJsonLines(lines: JsonLines, options: TableOptions = {}, test?: JsonLines): OpenedDataset {
  if (!lines.samples) return datasetFromTable(lines.table, options, test?.table);
  const { table, samples } = lines;
  const label = labelColumn(table, options.label);
  const names = classNames(table, label, options);
  const all = labeled(lines, label.name, names);
  if (test) requireShape(test, samples.shape, table.name);
  const numbers = test ? { train: all, test: labeled(test, label.name, names) } : split(all, table.name, options);
  const parts = bytesOf(numbers) ?? numbers;
  const kind = parts === numbers ? 'numbers' : 'bytes';
  const what = `${plural(table.count + (test?.table.count ?? 0), 'line')}, ${samples.shape.join(' x ')} ${kind} each`;
  const counts = partsText(parts, test ? undefined : options);
  return { ...parts, found: `${table.name}: ${what}, ${targetsText(all)} in ${label.name}; ${counts}` };
}

function labeled({ table, samples }: JsonLines, label: string, names: readonly string[] | undefined): Dataset {
  const column = requireColumn(table, label, 'the label');
  const targets = names ? classTargets(table, column, names) : valueTargets(table, column);
  return { samples: samples!.values, sampleShape: samples!.shape, count: table.count, targets };
}

function requireShape({ table, samples }: JsonLines, shape: readonly number[], like: string): void {
  if (samples?.shape.join() === shape.join()) return;
  const got = samples?.shape.join(' x ') ?? 'none';
  throw new DataError(`${table.name}: expected arrays of ${shape.join(' x ')}, as in ${like}, got ${got}`);
}

function split(dataset: Dataset, name: string, options: SplitOptions): Parts {
  const { train, test } = splitIndices(dataset.targets, dataset.count, name, options);
  return { train: takeSamples(dataset, train), test: takeSamples(dataset, test) };
}

function bytesOf({ train, test }: Parts): Parts | undefined {
  const [trainBytes, testBytes] = [train, test].map(({ samples }) => asBytes(samples as Float32Array));
  if (!trainBytes || !testBytes) return undefined;
  return { train: { ...train, samples: trainBytes }, test: { ...test, samples: testBytes } };
}
