import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { readOptionFile, requireOutputs, saveFile, saveJson } from '../src/option-files.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);

describe('files of options', () => {
  it('are read as text, or refused with exit code 2', () => {
    writeFileSync(place('text'), 'Grüße');
    expect(readOptionFile('model', place('text'))).toBe('Grüße');
    const failure = { exitCode: 2, message: `--model: ${folder}: expected a regular file, got a folder` };
    expect(() => readOptionFile('model', folder)).toThrow(expect.objectContaining(failure));
    writeFileSync(place('large'), new Uint8Array(2 ** 20 + 1));
    expect(() => readOptionFile('model', place('large'))).toThrow(/--model: .*large: expected at most 1\.0 MiB/);
  });

  it('that are written may be absent, but not missing a folder, nor the same', () => {
    symlinkSync('model', place('link'));
    expect(() => requireOutputs({ save: undefined, report: undefined })).not.toThrow();
    expect(() => requireOutputs({ save: place('model'), report: place('report') })).not.toThrow();
    const missing = {
      exitCode: 2,
      message: expect.stringMatching(/^--report: .*expected a file in a folder that exists/),
    };
    expect(() => requireOutputs({ report: place('missing/report') })).toThrow(expect.objectContaining(missing));
    for (const report of [place('model'), place('link'), `${folder}/./model`]) {
      const same = {
        exitCode: 2,
        message: `--report: expected a different file from --save writes, got the same: ${report}`,
      };
      expect(() => requireOutputs({ save: place('model'), report })).toThrow(expect.objectContaining(same));
    }
  });

  it('that are written are none of those that are read, by whatever name', () => {
    writeFileSync(place('rows.csv'), 'a,label\n');
    symlinkSync('rows.csv', place('rows'));
    const inputs = { data: place('rows.csv'), model: undefined, load: place('absent') };
    for (const save of [place('rows.csv'), place('rows'), `${folder}/./rows.csv`]) {
      const message = `--save: expected a different file from --data reads, got the same: ${save}`;
      expect(() => requireOutputs({ save }, inputs)).toThrow(expect.objectContaining({ exitCode: 2, message }));
    }
    expect(() => requireOutputs({ save: place('new'), report: place('absent') }, inputs)).not.toThrow();
  });

  it('are written, or fail with exit code 1', async () => {
    await saveJson(place('json'), { a: 1 });
    expect(readFileSync(place('json'), 'utf8')).toBe('{\n  "a": 1\n}\n');
    await expect(saveFile(place('missing/file'), '')).rejects.toMatchObject({ name: 'CommandFailure', exitCode: 1 });
  });
});
