import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { optionsPage } from '../src/options-page.ts';

it('docs/options.md is what `npm run docs` writes', () => {
  expect(readFileSync(new URL('../../../docs/options.md', import.meta.url), 'utf8')).toBe(optionsPage());
});
