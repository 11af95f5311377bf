/** The table of every operation, which the suites walk. */
import { activationOperations } from './activations.ts';
import { arrangeOperations } from './arrange.ts';
import { classifyOperations } from './classify.ts';
import { compareOperations } from './compare.ts';
import { convolutionOperations } from './convolution.ts';
import type { TableEntry } from './define.ts';
import { dropoutOperations } from './dropout.ts';
import { elementwiseOperations } from './elementwise.ts';
import { gatherOperations } from './gather.ts';
import { matmulOperations } from './matmul.ts';
import { poolOperations } from './pool.ts';
import { reduceOperations } from './reduce.ts';
import { softmaxOperations } from './softmax.ts';
import { vectorOperations } from './vectors.ts';

export const operations: readonly TableEntry[] = [
  ...elementwiseOperations,
  ...compareOperations,
  ...activationOperations,
  ...reduceOperations,
  ...arrangeOperations,
  ...gatherOperations,
  ...matmulOperations,
  ...vectorOperations,
  ...softmaxOperations,
  ...classifyOperations,
  ...dropoutOperations,
  ...convolutionOperations,
  ...poolOperations,
];
