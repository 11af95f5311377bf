/** Products of matrices as calls of their kernel. */
import type { MatmulCall } from '../../backend.ts';
import { batchOffsets } from '../batches.ts';
import type { Kernels } from './webassembly.ts';

const bytesPerValue = 4;

/** Addresses of a call's storages; 0 where there is no bias. */
export interface ProductAddresses {
  readonly left: number;
  readonly right: number;
  readonly output: number;
  readonly bias: number;
}

export function matmulRun(
  kernels: Kernels,
  call: MatmulCall,
  { left, right, output, bias }: ProductAddresses,
): () => void {
  const { m, k, n } = call;
  const [turnLeft, turnRight] = [Number(call.transposeLeft), Number(call.transposeRight)];
  const relu = Number(call.epilogue?.relu ?? false);
  if (call.batch === undefined) {
    return () => kernels.matmul(m, k, n, left, right, turnLeft, turnRight, output, bias, relu);
  }
  const batches = batchOffsets(call).map((at) => ({
    left: left + bytesPerValue * at.left,
    right: right + bytesPerValue * at.right,
    output: output + bytesPerValue * at.output,
  }));
  return () => {
    for (let index = 0; index < batches.length; index++) {
      const at = batches[index]!;
      kernels.matmul(m, k, n, at.left, at.right, turnLeft, turnRight, at.output, bias, relu);
    }
  };
}
