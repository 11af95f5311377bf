/** How each call of a program becomes kernels. */
import type { KernelCall } from '../../../backend.ts';
import type { Runner } from '../runner.ts';
import { prepareCrossEntropy } from './cross-entropy.ts';
import { prepareGather } from './gather.ts';
import { prepareMap } from './map.ts';
import { prepareMatmul } from './matmul.ts';
import { prepareRandom } from './random.ts';
import { prepareReduce } from './reduce.ts';
import type { Own, Step } from './step.ts';
import { prepareConvolution, preparePool, prepareUnpool } from './windows.ts';

export function prepareCall(runner: Runner, call: KernelCall, own: Own): Step {
  switch (call.kind) {
    case 'map':
      return prepareMap(runner, call, own);
    case 'reduce':
      return prepareReduce(runner, call, own);
    case 'matmul':
      return prepareMatmul(runner, call, own);
    case 'crossEntropy':
      return prepareCrossEntropy(runner, call, own);
    case 'gather':
    case 'scatterAdd':
      return prepareGather(runner, call, own);
    case 'random':
      return prepareRandom(runner, call, own);
    case 'convolution':
      return prepareConvolution(runner, call, own);
    case 'pool':
      return preparePool(runner, call, own);
    case 'unpool':
      return prepareUnpool(runner, call, own);
    default:
      return call satisfies never;
  }
}
