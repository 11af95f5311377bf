import { expect, it } from 'vitest';
import { ConfigurationError, configurationError, named } from '../src/option.ts';

it('names options as the program knows them, and as a command line does', () => {
  const error = configurationError`${named('threads')}: expected 1 with ${named('backend', 'gpu')}, got ${3}`;
  expect(error).toBeInstanceOf(ConfigurationError);
  expect(error.option).toBe('threads');
  expect(error.message).toBe('threads: expected 1 with backend gpu, got 3');
  expect(error.messageWith((option) => `--${option}`)).toBe('--threads: expected 1 with --backend gpu, got 3');
});

it('may name none', () => {
  const error = configurationError`nothing there`;
  expect([error.option, error.message]).toEqual([undefined, 'nothing there']);
});
