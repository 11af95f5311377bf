/** Gradients of the default model on a GPU; `gpu.full.test.ts` has every kind of layer. */
import { classField } from '@lockstep/data';
import { resolveModel } from '../src/index.ts';
import { describeGpuGradients } from './gpu-gradients.ts';

const classWeights = Array.from({ length: 10 }, (_, at) => at / 4);

await describeGpuGradients([
  { model: resolveModel('mlp'), targetField: classField, of: 'classes' },
  { model: resolveModel('mlp'), targetField: { ...classField, classWeights }, of: 'weighted classes' },
]);
