/** Runs `npm run example` within a test. */
import { expect, vi } from 'vitest';
import { example } from '../src/example.ts';

/** Returns what a command prints; the caller restores mocks. */
export async function printed(...args: string[]): Promise<string> {
  const parts: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((part) => {
    parts.push(String(part));
    return true;
  });
  expect(await example(args)).toBe(0);
  return parts.join('');
}
