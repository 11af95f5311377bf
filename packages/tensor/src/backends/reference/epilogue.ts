/** What follows a product. */
import type { Epilogue } from '../../backend.ts';
import { valuesOf } from './storage.ts';

const { fround } = Math;

/** A function that finishes `rows` x `columns` values. */
export function prepareEpilogue(
  epilogue: Epilogue | undefined,
  output: Float32Array,
  rows: number,
  columns: number,
): () => void {
  if (epilogue === undefined) return () => {};
  const bias = epilogue.bias === undefined ? undefined : valuesOf(epilogue.bias);
  return () => {
    for (let index = 0; index < rows * columns; index++) {
      const value = bias === undefined ? output[index]! : fround(output[index]! + bias[index % columns]!);
      output[index] = epilogue.relu ? Math.max(value, 0) : value;
    }
  };
}
