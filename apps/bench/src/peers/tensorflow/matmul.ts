/** A matrix product on TensorFlow.js. */
import { type Absent, type Implementation, timeSteps } from '../../harness/candidate.ts';
import type { Product } from '../../workloads/product.ts';
import { loadTensorFlow, type TensorFlowBackend } from './load.ts';

export async function openTensorflowMatmul(work: Product, name: TensorFlowBackend): Promise<Implementation | Absent> {
  const loaded = await loadTensorFlow(name);
  if ('absent' in loaded) return loaded;
  const { tf, registered, version, description } = loaded;
  const left = tf.tensor2d(work.left.slice(), [work.m, work.k]);
  const right = tf.tensor2d(work.right.slice(), [work.k, work.n]);
  let output = tf.matMul(left, right);
  const step = (): void => {
    output.dispose();
    output = tf.matMul(left, right);
  };
  return {
    version,
    notes: [description, 'tf.matMul of tensors that lie ready'],
    async reset() {
      await tf.setBackend(registered);
    },
    // A call of this backend is complete when it returns; data() would add a copy of the output.
    run: (steps) => timeSteps(steps, step),
    result: async () => Float32Array.from(await output.data()),
    async close() {
      await tf.setBackend(registered);
      tf.dispose([left, right, output]);
    },
  };
}
