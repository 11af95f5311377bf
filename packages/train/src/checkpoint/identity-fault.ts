/** Why a run cannot go on from a checkpoint of another run. */
import type { RunIdentity } from './checkpoint.ts';

/** One phrase that names the first difference, such as `optimizer.learningRate`; undefined where there is none. */
export function identityFault(expected: RunIdentity, got: RunIdentity): string | undefined {
  const difference = identityDifference(expected, got);
  return difference && `it belongs to another run: ${difference}`;
}

/** Such as `expected seed 1, got 2`. */
export function identityDifference(expected: object, got: object): string | undefined {
  return firstDifference('', expected, got);
}

function firstDifference(path: string, expected: unknown, got: unknown): string | undefined {
  if (isObject(expected) && isObject(got)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(got)]);
    for (const key of keys) {
      const difference = firstDifference(path === '' ? key : `${path}.${key}`, expected[key], got[key]);
      if (difference) return difference;
    }
    return undefined;
  }
  if (expected === got) return undefined;
  return `expected ${path} ${brief(expected)}, got ${brief(got)}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function brief(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
