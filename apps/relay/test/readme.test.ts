import { expect, it } from 'vitest';
import { optionRows } from '../../coordinator/test/option-rows.ts';
import { relayOptions } from '../src/options.ts';

it('README.md has a row for each option of a relay, with its value, meaning and default', () => {
  const { got, expected } = optionRows('option of a relay', relayOptions);
  expect(got).toEqual(expected);
});
