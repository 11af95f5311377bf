import { expect, it } from 'vitest';
import { commands } from '../src/options.ts';
import { optionRows } from './option-rows.ts';

it('README.md has a row for each option, with its value, meaning and default', () => {
  const { got, expected } = optionRows('option', commands.start.options);
  expect(got).toEqual(expected);
});
