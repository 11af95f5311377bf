/** Each call of a program as kernels. */
import type { KernelCall } from '../../../backend.ts';
import { type ByKind, dispatch } from '../../by-kind.ts';
import { fillRandom } from '../../random.ts';
import { SharedValues } from '../copy-on-write.ts';
import type { Stretch } from '../runner.ts';
import type { LoweringContext, Step } from './context.ts';
import { lowerConvolution } from './convolution.ts';
import { lowerCrossEntropy } from './cross-entropy.ts';
import { lowerGather } from './gather.ts';
import { lowerMap } from './map.ts';
import { lowerMatmul } from './matmul.ts';
import { lowerPool, lowerUnpool } from './pool.ts';
import { lowerReduce } from './reduce.ts';

const lowerings: ByKind<[context: LoweringContext], Step> = {
  map: lowerMap,
  reduce: lowerReduce,
  matmul: lowerMatmul,
  crossEntropy: lowerCrossEntropy,
  gather: lowerGather,
  scatterAdd: lowerGather,
  convolution: lowerConvolution,
  pool: lowerPool,
  unpool: lowerUnpool,
  // Worked out on the host and uploaded: kernels of gpu.js have no 32-bit whole numbers.
  random(call, { device, stretchOf }) {
    const key = stretchOf(call.key, 4);
    const samples = stretchOf(call.samples, call.rows);
    const output = stretchOf(call.output, call.rows * call.columns);
    return () => {
      const values = new Float32Array(output.length);
      fillRandom(call, uploaded(key, 'the seed and step'), uploaded(samples, 'the samples'), values);
      output.tensor.write(output.offset, output.length, SharedValues.onHost(device, values));
    };
  },
};

export function lowerCall(call: KernelCall, context: LoweringContext): Step {
  return dispatch(lowerings, call, context);
}

/** Values that were uploaded; what a kernel computed cannot be read without waiting. */
function uploaded({ tensor, offset, length }: Stretch, role: string): Float32Array {
  const result = new Float32Array(length);
  for (const { values, start, ...extent } of tensor.read(offset, length)) {
    if (values.host === undefined) throw new Error(`random: ${role} must be uploaded, not computed, on this backend`);
    result.set(values.host.subarray(start, start + extent.length), extent.offset - offset);
  }
  return result;
}
