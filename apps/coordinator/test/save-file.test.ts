import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailure } from '@lockstep/command';
import { describe, expect, it } from 'vitest';
import { saveFile } from '../src/save-file.ts';
import { temporaryFolder } from './folder.ts';

const folder = temporaryFolder();

describe('saveFile', () => {
  it('writes bytes and text, over an old file', async () => {
    const file = join(folder, 'model');
    await saveFile(file, Uint8Array.of(1, 2, 3));
    expect([...readFileSync(file)]).toEqual([1, 2, 3]);
    await saveFile(file, 'text');
    expect(readFileSync(file, 'utf8')).toBe('text');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('that fails leaves the old file, no part of the new one, and one line with exit code 1', async () => {
    // A folder with a file in it cannot be replaced by a file, even by root.
    const place = join(folder, 'occupied');
    mkdirSync(place);
    writeFileSync(join(place, 'inside'), 'kept');
    const failure: unknown = await saveFile(place, 'new').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandFailure);
    expect(failure).toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^could not write .*occupied: [^\n]+$/),
    });
    expect(readFileSync(join(place, 'inside'), 'utf8')).toBe('kept');
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('into a folder that does not exist says so', async () => {
    await expect(saveFile(join(folder, 'nowhere', 'model'), 'x')).rejects.toThrow(/^could not write .*nowhere/);
  });
});
