/** What a reader gives: samples to train and to test with, and what it found. */
import { shownLine } from '@lockstep/files/shown';
import type { Dataset, Targets } from '../dataset.ts';
import type { PictureFit } from '../pictures/decoder.ts';
import { defaultSplitSeed, type SplitOptions } from '../split.ts';
import type { FeatureColumn } from './features.ts';
import { listed, type Table } from './table.ts';

/**
 * How a file becomes a sample, where that takes more than its values.
 * A saved model has to know it as well.
 */
export type Reading =
  /** A row of a table, by `encodeFeatures`. */
  | { readonly type: 'rows'; readonly columns: readonly FeatureColumn[] }
  /** A picture, scaled to the sample's height and width. */
  | { readonly type: 'pictures'; readonly fit: PictureFit };

/** What a reader gives: samples to train and to test with, and what it found. */
export interface OpenedDataset {
  readonly train: Dataset;
  readonly test: Dataset;
  /** What was read and how, in one line for people. */
  readonly found: string;
  readonly reading?: Reading;
}

/** The line that says what was read, and from which files. */
export function foundLine(files: readonly (Pick<Table, 'name'> | undefined)[], what: string): string {
  const names = files.flatMap((file) => (file ? [file.name] : []));
  return shownLine(`${names.join(' and ')}: ${what}`);
}

/** The two counts; of one that was split, the seed by which it was. */
export function partsText({ train, test }: Pick<OpenedDataset, 'train' | 'test'>, split?: SplitOptions): string {
  const counts = `${thousands(train.count)} to train, ${thousands(test.count)} to test`;
  return split ? `${counts} (split by seed ${split.seed ?? defaultSplitSeed})` : counts;
}

/** The names of the classes, or the range of the values. */
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
