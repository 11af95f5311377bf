/** Gradients of large examples match finite differences. */
import { describe, it } from 'vitest';
import { expectGradient, isLarge } from './finite-differences.ts';
import { opExamples, opNames } from './op-examples.ts';
import { openAll } from './support.ts';

const reference = (await openAll()).find((backend) => backend.name === 'reference')!;
const large = opNames.flatMap((name) =>
  opExamples[name].filter(isLarge).map((example) => [name, example.label, example] as const),
);

describe('the gradient matches finite differences', () => {
  it.each(large)('%s: %s', (_name, _label, example) => expectGradient(reference, example));
});
