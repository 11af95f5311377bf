/** Checks the units in which the page counts the samples of a run. */
import type { RunMessage } from '@lockstep/protocol';
import { expect, it } from 'vitest';
import { sampleUnitOf, unitOf } from '../src/watch/run-texts.ts';

const characters = (...tokens: string[]) => ({ kind: 'characters', tokens });

it.each([
  [characters('a', 'b'), 'characters', 'byte'],
  [characters('a', 'ä'), 'characters', 'character'],
  [{ kind: 'bytes' }, 'bytes', 'byte'],
  [{ kind: 'merges' }, 'tokens', 'token'],
  [{ kind: 'words' }, 'tokens', 'token'],
  // Too large to send.
  [undefined, 'tokens', 'token'],
])('a text of %j is counted in %s, and its loss is of a %s', (vocabulary, name, unit) => {
  const bytes = vocabulary && new TextEncoder().encode(JSON.stringify(vocabulary));
  const run = { targetField: { role: 'next', positions: 16 }, ...(bytes && { vocabulary: bytes }) } as RunMessage;
  expect(sampleUnitOf(run)).toEqual({ name, perSample: 16 });
  expect(unitOf(run)).toBe(unit);
});

it.each([
  [[28, 28, 1], 'images'],
  [[4], 'samples'],
])('samples of shape %j are %s', (shape, name) => {
  const run = { sampleField: { shape }, targetField: { role: 'class' } } as unknown as RunMessage;
  expect(sampleUnitOf(run)).toEqual({ name, perSample: 1 });
});
