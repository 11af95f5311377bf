/** Arbitrary data of a run that waits to start. */
import fc from 'fast-check';
import { message, text } from './arbitraries.ts';

const example = fc.record({ sample: fc.uint8Array({ maxLength: 36 }), target: text(80) }, { noNullPrototype: true });

export const task = fc.constantFrom('classification' as const, 'regression' as const);

export const uploadedData = fc.record(
  {
    found: message,
    plan: message,
    sampleType: fc.constantFrom('u8' as const, 'f32' as const),
    sampleShape: fc.array(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 4 }),
    targetType: fc.constantFrom('classes' as const, 'values' as const),
    outputs: fc.integer({ min: 1, max: 65_535 }),
    names: fc.array(text(80), { maxLength: 4 }),
    examples: fc.array(example, { maxLength: 4 }),
  },
  {
    requiredKeys: ['found', 'plan', 'sampleType', 'sampleShape', 'targetType', 'outputs', 'examples'],
    noNullPrototype: true,
  },
);
