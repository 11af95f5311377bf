/** Matrix products, one or a batch of them. */
import type { MatmulCall } from '../../backend.ts';
import { batchOffsets } from '../batches.ts';
import type { Placed } from '../operands.ts';
import { finishProduct, matrix, multiply } from './product.ts';

export function matmul(call: Placed<MatmulCall, Float32Array>): void {
  const { m, k, n, output } = call;
  const left = matrix(call.left, m, k, call.transposeLeft);
  const right = matrix(call.right, k, n, call.transposeRight);
  for (const at of batchOffsets(call)) {
    multiply([m, k, n], { ...left, start: at.left }, { ...right, start: at.right }, output, at.output);
  }
  finishProduct(call);
}
