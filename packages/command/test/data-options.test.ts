import { describe, expect, it } from 'vitest';
import { parseOptions } from '../src/command-line.ts';
import { dataOptions } from '../src/common-options.ts';

describe('the options of data', () => {
  it('leave to the reader what they do not say', () => {
    const { gray, ...others } = parseOptions(dataOptions, []);
    expect(gray).toBe(false);
    expect(Object.values(others).every((value) => value === undefined)).toBe(true);
  });

  it.each([
    ['--ignore', 'id, name', { ignore: ['id', 'name'] }],
    ['--size', '48x32', { size: { width: 48, height: 32 } }],
    ['--task', 'regression', { task: 'regression' }],
    ['--fit', 'contain', { fit: 'contain' }],
    ['--label', 'species', { label: 'species' }],
  ])('read %s %s', (name, text, expected) => {
    expect(parseOptions(dataOptions, ['--data', 'x', name, text, '--gray'])).toMatchObject({
      ...expected,
      gray: true,
    });
  });

  it.each([
    ['--ignore', 'id,,name', 'names of columns, separated by commas'],
    ['--size', '32', 'a size like 32x32, up to 4096x4096'],
    ['--size', '0x32', 'a size like 32x32, up to 4096x4096'],
    ['--size', '5000x32', 'a size like 32x32, up to 4096x4096'],
    ['--task', 'both', 'one of classification, regression'],
  ])('refuse %s %s', (name, text, expected) => {
    expect(() => parseOptions(dataOptions, [name, text])).toThrow(`${name}: expected ${expected}, got ${text}`);
  });
});
