/** Tests all ops: finite differences on the reference, and agreement of every backend with it. */
import { describe, expect, it } from 'vitest';
import { compile, fromArray, tidy } from '../src/index.ts';
import * as ops from '../src/ops/index.ts';
import { sizeOf } from '../src/shape.ts';
import { operandsOf, resultsOf } from './agreement.ts';
import type { Example } from './examples.ts';
import { computed, expectGradient, isLarge } from './finite-differences.ts';
import { opExamples, opNames } from './op-examples.ts';
import { bitsOf, openAll } from './support.ts';

const backends = await openAll();
const reference = backends.find((backend) => backend.name === 'reference')!;

/** Whether the op records a gradient. */
function isDifferentiable(example: Example): boolean {
  return tidy(() => {
    const leaves = operandsOf(example).map((values, index) =>
      fromArray(reference, values, example.shapes[index]!, { requiresGrad: true }),
    );
    return example.compute(leaves).requiresGrad;
  });
}

it('has each op under its own name', () => {
  const exported = Object.entries(ops).flatMap(([name, value]) => ('opName' in value ? [[name, value.opName]] : []));
  expect(exported.map(([, opName]) => opName)).toEqual(exported.map(([name]) => name));
  expect(exported.map(([name]) => name).sort()).toEqual(opNames.toSorted());
});

it('has a gradient for every op that is not piecewise constant', () => {
  const without = opNames.filter((name) => !isDifferentiable(opExamples[name][0]!));
  const comparisons = ['equal', 'notEqual', 'greater', 'greaterEqual', 'less', 'lessEqual'];
  expect(without).toEqual([...comparisons, 'argmax', 'randomUniform']);
});

describe.each(opNames)('%s', (name) => {
  const examples = opExamples[name].map((example) => [example.label, example] as const);

  it('has an empty and a one-element example', () => {
    const sizes = opExamples[name].map(({ shapes }) => sizeOf(shapes[0]!));
    expect(sizes).toContain(0);
    expect(sizes).toContain(1);
  });

  it.each(examples)('%s: results and gradients of all backends agree to the bit', (_label, example) => {
    const expected = computed(reference, example).map(bitsOf);
    for (const backend of backends) expect(computed(backend, example).map(bitsOf)).toEqual(expected);
  });

  it.each(backends)('compiled, has the bits of eager execution on $name', (backend) => {
    for (const example of opExamples[name]) {
      // The compiler treats the operands as constants.
      const plan = compile(backend, (scalar) => resultsOf(scalar!.backend, example), [[]]);
      plan.run();
      const compiled = plan.outputs.map((tensor) => bitsOf(backend.view(tensor.storage)));
      plan.dispose();
      expect(compiled, example.label).toEqual(computed(backend, example).map(bitsOf));
    }
  });

  it.each(examples.filter(([, example]) => !isLarge(example)))(
    '%s: the gradient matches finite differences',
    (_label, example) => expectGradient(reference, example),
  );
});
