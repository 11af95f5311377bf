/** Concatenates two data sets of one form. */
import type { Dataset, SampleValues, Targets } from './dataset.ts';

/**
 * Copies the samples of `first`, then the samples of `second`, into new memory.
 * Both must have the same sample shape, types and names.
 * @throws RangeError if their shapes or types differ
 */
export function concatDatasets(first: Dataset, second: Dataset): Dataset {
  const [expected, got] = [first, second].map(({ sampleShape }) => sampleShape.join(' x '));
  if (got !== expected) throw new RangeError(`expected samples of ${expected}, got ${got}`);
  return {
    samples: concatValues(first.samples, second.samples),
    sampleShape: first.sampleShape,
    count: first.count + second.count,
    targets: concatTargets(first.targets, second.targets),
  };
}

function concatTargets(first: Targets, second: Targets): Targets {
  if (first.type === 'classes' && second.type === 'classes') {
    const labels = new Uint16Array(first.labels.length + second.labels.length);
    labels.set(first.labels);
    labels.set(second.labels, first.labels.length);
    return { ...first, labels };
  }
  if (first.type === 'values' && second.type === 'values') {
    return { ...first, values: concatValues(first.values, second.values) as Float32Array };
  }
  throw new RangeError(`expected ${first.type}, got ${second.type}`);
}

function concatValues(first: SampleValues, second: SampleValues): SampleValues {
  const length = first.length + second.length;
  const joined = first instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  if (joined.constructor !== second.constructor)
    throw new RangeError('expected samples of one type, got bytes and floats');
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
