import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { optionsPage } from '../src/reference.ts';

test('docs/options.md is what `npm run docs` writes', () => {
  expect(readFileSync(new URL('../../../docs/options.md', import.meta.url), 'utf8')).toBe(optionsPage());
});
