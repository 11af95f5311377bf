/** Matrix products: each element one chain over the inner dimension. */
import type { MatmulCall } from '../../backend.ts';
import { batchOffsets } from '../batches.ts';
import { prepareEpilogue } from './epilogue.ts';
import { valuesOf } from './storage.ts';

const { fround } = Math;

export function prepareMatmul(call: MatmulCall): () => void {
  const { m, k, n, transposeLeft, transposeRight } = call;
  const left = valuesOf(call.left);
  const right = valuesOf(call.right);
  const output = valuesOf(call.output);
  const [leftRow, leftColumn] = transposeLeft ? [1, m] : [k, 1];
  const [rightRow, rightColumn] = transposeRight ? [1, k] : [n, 1];
  const batches = batchOffsets(call);
  const finish = prepareEpilogue(call.epilogue, output, batches.length * m, n);
  return () => {
    for (const at of batches) {
      output.fill(0, at.output, at.output + m * n);
      for (let row = 0; row < m; row++) {
        for (let inner = 0; inner < k; inner++) {
          const factor = left[at.left + row * leftRow + inner * leftColumn]!;
          for (let column = 0; column < n; column++) {
            const term = fround(factor * right[at.right + inner * rightRow + column * rightColumn]!);
            output[at.output + row * n + column]! += term;
          }
        }
      }
    }
    finish();
  };
}
