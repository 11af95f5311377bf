import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { addressesToPrint } from '../src/option-files.ts';

const folder = temporaryFolder();
const lines = ['Join with: LOCKSTEP_TOKEN=secret worker', 'Dashboard: http://127.0.0.1/#admin=secret'];

describe('addresses with secrets', () => {
  it('are printed without a file', () => {
    expect(addressesToPrint(lines, undefined)).toEqual(lines);
  });

  it.runIf(process.platform !== 'win32')('are in the file for its owner alone, also where others could read it', () => {
    const files = [join(folder, 'made'), join(folder, 'there before')];
    writeFileSync(files[1]!, 'x'.repeat(1000));
    chmodSync(files[1]!, 0o644);
    for (const file of files) {
      expect(addressesToPrint(lines, file)).toEqual([`The addresses for joining and watching are in ${file}.`]);
      expect(readFileSync(file, 'utf8')).toBe(`${lines.join('\n')}\n`);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
  });

  it('are not printed if the file cannot be written: that is a failure of one sentence', () => {
    mkdirSync(join(folder, 'folder'));
    expect(() => addressesToPrint(lines, join(folder, 'folder'))).toThrow(
      expect.objectContaining({
        exitCode: 1,
        message: expect.stringMatching(/^--addresses: could not write .*folder: .+$/),
      }),
    );
  });
});
