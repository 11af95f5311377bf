/** Matrix products, one or a batch of them. */
import type { HostBackend, MatmulCall } from '../../backend.ts';
import { batchOffsets } from '../batches.ts';
import { matrix, multiply, prepareEpilogue } from './product.ts';

export function prepareMatmul(call: MatmulCall, valuesOf: HostBackend['view']): () => void {
  const { m, k, n } = call;
  const left = matrix(valuesOf(call.left), m, k, call.transposeLeft);
  const right = matrix(valuesOf(call.right), k, n, call.transposeRight);
  const output = valuesOf(call.output);
  const batches = batchOffsets(call);
  const finish = prepareEpilogue(call.epilogue, output, [batches.length * m, n], valuesOf);
  return () => {
    for (const at of batches) {
      multiply([m, k, n], { ...left, start: at.left }, { ...right, start: at.right }, output, at.output);
    }
    finish();
  };
}
