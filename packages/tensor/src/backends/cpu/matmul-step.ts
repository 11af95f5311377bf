/** Products of matrices as calls of their kernel. */
import type { MatmulCall } from '../../backend.ts';
import { batchOffsets } from '../batches.ts';
import type { Kernels } from './webassembly.ts';

const bytesPerValue = 4;
/** Longest inner dimension of which the kernel that sums in segments has room for packed operands: kernels/segments.ts. */
const longestInSegments = 8192;

/** Whether the kernel sums in segments by itself, without a pass over the output for each of them. */
export function sumsInSegments({ k }: MatmulCall): boolean {
  return k <= longestInSegments;
}

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
  const { m, k, n, microbatches = 1 } = call;
  if (microbatches > 1) return () => kernels.matmulInSegments(m, k, n, left, right, microbatches, output);
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
