/** The table of every operation, which the suites walk. */
import { arrangeOperations } from './arrange.ts';
import { classifyOperations } from './classify.ts';
import type { TableEntry } from './define.ts';
import { elementwiseOperations } from './elementwise.ts';
import { matmulOperations } from './matmul.ts';
import { reduceOperations } from './reduce.ts';

export const operations: readonly TableEntry[] = [
  ...elementwiseOperations,
  ...reduceOperations,
  ...arrangeOperations,
  ...matmulOperations,
  ...classifyOperations,
];
