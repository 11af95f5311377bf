/** The result of a reader: training and test samples, and what it found. */

import type { Dataset, Targets } from '../dataset.ts';
import type { PictureFit } from '../pictures/decoder.ts';
import { shownLine } from '../shown.ts';
import { defaultSplitSeed, type SplitOptions } from '../split.ts';
import type { FeatureColumn } from './features.ts';
import { listed, type Table } from './table.ts';

/** How a file becomes a sample, if that takes more than its values; a saved model knows it as well. */
export type Reading =
  /** A row of a table, encoded by `encodeFeatures`. */
  | { readonly type: 'rows'; readonly columns: readonly FeatureColumn[] }
  /** A picture, scaled to the sample's height and width. */
  | { readonly type: 'pictures'; readonly fit: PictureFit };

/** Result of a reader: training and test samples, and what it found. */
export interface OpenedDataset {
  readonly train: Dataset;
  readonly test: Dataset;
  /** One line for people that says what was read and how. */
  readonly found: string;
  readonly reading?: Reading;
}

/** Returns the line that says what was read, and from which files. */
export function foundLine(files: readonly (Pick<Table, 'name'> | undefined)[], what: string): string {
  const names = files.flatMap((file) => (file ? [file.name] : []));
  return shownLine(`${names.join(' and ')}: ${what}`);
}

/** Formats the two counts, and the seed of the split if there was one. */
export function partsText({ train, test }: Pick<OpenedDataset, 'train' | 'test'>, split?: SplitOptions): string {
  const counts = `${thousands(train.count)} to train, ${thousands(test.count)} to test`;
  return split ? `${counts} (split by seed ${split.seed ?? defaultSplitSeed})` : counts;
}

/** Formats the names of the classes, or the range of the values. */
export function targetsText(targets: Targets): string {
  if (targets.type === 'classes') return `${targets.names.length} classes (${listed(targets.names)})`;
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of targets.values) [least, most] = [Math.min(least, value), Math.max(most, value)];
  return `values from ${short(least)} to ${short(most)}`;
}

export function thousands(count: number): string {
  return count.toLocaleString('en-US');
}

export function plural(count: number, thing: string, things = `${thing}s`): string {
  return `${thousands(count)} ${count === 1 ? thing : things}`;
}

function short(value: number): string {
  return `${Number(value.toPrecision(6))}`;
}
