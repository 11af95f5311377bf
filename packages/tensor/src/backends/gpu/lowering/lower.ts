/** Lowers each call of a program to kernels. */
import type { ByKind } from '../../operands.ts';
import { fillRandom } from '../../random.ts';
import { SharedValues } from '../copy-on-write.ts';
import type { Runner, Stretch } from '../runner.ts';
import { lowerConvolution } from './convolution.ts';
import { lowerCrossEntropy } from './cross-entropy.ts';
import { lowerGather } from './gather.ts';
import { lowerMap } from './map.ts';
import { lowerMatmul } from './matmul.ts';
import { lowerPool, lowerUnpool } from './pool.ts';
import { lowerReduce } from './reduce.ts';

/** For each kind of call, a function that runs it on the current values of its storages. */
export const lowerings: ByKind<Stretch, [runner: Runner], () => void> = {
  map: lowerMap,
  reduce: lowerReduce,
  matmul: lowerMatmul,
  crossEntropy: lowerCrossEntropy,
  gather: lowerGather,
  scatterAdd: lowerGather,
  convolution: lowerConvolution,
  pool: lowerPool,
  unpool: lowerUnpool,
  // Computed on the host and uploaded: kernels of gpu.js have no 32-bit integers.
  random(call, { device }) {
    const { tensor, offset, length } = call.output;
    return () => {
      const key = uploaded(call.key, 'the seed and step');
      const samples = uploaded(call.samples, 'the samples');
      const output = new Float32Array(length);
      fillRandom({ ...call, key, samples, output });
      tensor.write(offset, length, new SharedValues(device, length, output));
    };
  },
};

/** Returns uploaded values; those that a kernel computed cannot be read without waiting. */
function uploaded({ tensor, offset, length }: Stretch, role: string): Float32Array {
  const result = new Float32Array(length);
  for (const { values, start, ...extent } of tensor.read(offset, length)) {
    if (values.host === undefined) throw new Error(`random: ${role} must be uploaded, not computed, on this backend`);
    result.set(values.host.subarray(start, start + extent.length), extent.offset - offset);
  }
  return result;
}
