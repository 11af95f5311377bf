import { expect, it } from 'vitest';
import { sameSecret } from '../src/text.ts';

it.each([
  ['secret', 'secret', true],
  ['secret', 'secreT', false],
  ['secret', 'secre', false],
  ['secret', 'secretsecret', false],
  ['secret', '', false],
  ['', '', true],
  ['', 'secret', false],
])('sameSecret(%j, %j) is %s', (expected, got, isSame) => {
  expect(sameSecret(expected, got)).toBe(isSame);
});
