/** How `@lockstep/data` turns a file into a sample, if the model needs more than the file's values. */
import * as v from 'valibot';
import { finiteNumber, positive } from './check.ts';

const finite = finiteNumber('expected a finite number', () => true);
const name = v.string('expected a name');

const columnSchema = v.variant('type', [
  v.strictObject({
    type: v.literal('number'),
    name,
    mean: finite,
    deviation: positive,
  }),
  v.strictObject({
    type: v.literal('category'),
    name,
    categories: v.pipe(v.array(name, 'expected a list of names'), v.minLength(1, 'expected a category'), v.readonly()),
  }),
]);

export const readingSchema = v.variant('type', [
  v.strictObject({
    type: v.literal('rows'),
    columns: v.pipe(v.array(columnSchema, 'expected a list of columns'), v.readonly()),
  }),
  v.strictObject({ type: v.literal('pictures'), fit: v.picklist(['cover', 'contain', 'stretch']) }),
]);

/**
 * How a file becomes a sample.
 * `rows`: a number in a table row becomes (number - mean) / deviation, a category is one-hot encoded.
 * `pictures`: a picture is scaled to the sample's height and width; `fit` says how, if the aspect ratios differ.
 */
export type Reading = v.InferOutput<typeof readingSchema>;

/** Returns the number of values that a row becomes. */
export function rowSize({ columns }: Extract<Reading, { type: 'rows' }>): number {
  return columns.reduce((sum, column) => sum + (column.type === 'number' ? 1 : column.categories.length), 0);
}
