/** Reads the rows of a table as samples of a model, by the names of its input columns. */
import { usageFailure } from '@lockstep/command';
import { DataError } from '@lockstep/data';
import { readRows } from '@lockstep/data/node';
import { encodeFeatures, type FeatureColumn } from '@lockstep/data/readers';

export interface TableRow {
  /** File name with the line number. */
  readonly file: string;
  readonly values: Float32Array;
  readonly reading: undefined;
}

/** Returns one sample per row; the label column may be missing. @throws CommandFailure with exit code 2 */
export async function readTable(
  file: string,
  columns: readonly FeatureColumn[],
  invert: boolean,
): Promise<readonly TableRow[]> {
  if (invert) throw usageFailure(`${file}: expected no --invert, since the model was trained on tables`);
  try {
    const { table } = await readRows(file);
    const rows = Uint32Array.from({ length: table.count }, (_, row) => row);
    const values = encodeFeatures(table, columns, rows);
    const size = values.length / table.count;
    return Array.from(rows, (row) => ({
      file: `${file}, ${table.placeOf(row)}`,
      values: values.subarray(row * size, (row + 1) * size),
      reading: undefined,
    }));
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(error.message);
    throw error;
  }
}
