import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseOptions } from '../src/command-line.ts';
import { tokenOptions } from '../src/common-options.ts';
import { tokenFrom } from '../src/option-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-token-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(text: string): string {
  const file = join(folder, 'token');
  writeFileSync(file, text);
  return file;
}

const none = { token: undefined, 'token-file': undefined };

describe('a token', () => {
  it('comes from the option, a file, or the environment', () => {
    expect(tokenFrom({ ...none, token: 'option' }, 'environment')).toBe('option');
    expect(tokenFrom({ ...none, 'token-file': fileWith('file\n') }, 'environment')).toBe('file');
    expect(tokenFrom(none, 'environment')).toBe('environment');
    expect([tokenFrom(none, undefined), tokenFrom(none, '')]).toEqual([undefined, undefined]);
  });

  it('is refused with one sentence that does not contain it', () => {
    expect(() => parseOptions(tokenOptions('', '', 'token'), ['--token', 'a', '--token-file', 'b'])).toThrow(
      /^--token-file: expected without --token, /,
    );
    expect(() => tokenFrom({ ...none, 'token-file': join(folder, 'none') }, undefined)).toThrow(
      /^--token-file: expected a file that can be read, got .*none$/,
    );
    const expected = 'expected one line of 1 to 256 printable characters';
    const file = fileWith('two\nlines');
    expect(() => tokenFrom({ ...none, 'token-file': file }, undefined)).toThrow(`--token-file ${file}: ${expected}`);
    expect(() => tokenFrom(none, 'x'.repeat(257))).toThrow(new RegExp(`^LOCKSTEP_TOKEN: ${expected}$`));
  });
});
