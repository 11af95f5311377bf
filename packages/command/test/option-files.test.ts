import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { parseOptions } from '../src/command-line.ts';
import { tokenOptions } from '../src/common-options.ts';
import {
  addressesToPrint,
  readOptionFile,
  requireOutputs,
  saveFile,
  saveJson,
  tokenFrom,
} from '../src/option-files.ts';

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
    const message = expect.stringMatching(/^--report: .*cannot use the folder/);
    const missing = { exitCode: 2, message };
    expect(() => requireOutputs({ report: place('missing/report') })).toThrow(expect.objectContaining(missing));
    for (const report of [place('model'), place('link'), `${folder}/./model`]) {
      const twice = `--report: expected a file that no other option uses, but --save writes ${report}`;
      const same = { exitCode: 2, message: twice };
      expect(() => requireOutputs({ save: place('model'), report })).toThrow(expect.objectContaining(same));
    }
  });

  it('that are written are none of those that are read, by whatever name', () => {
    writeFileSync(place('rows.csv'), 'a,label\n');
    symlinkSync('rows.csv', place('rows'));
    const inputs = { data: place('rows.csv'), model: undefined, load: place('absent') };
    for (const save of [place('rows.csv'), place('rows'), `${folder}/./rows.csv`]) {
      const message = `--save: expected a file that no other option uses, but --data reads ${save}`;
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

function fileWith(text: string): string {
  const file = place('token');
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
    const both = () => parseOptions(tokenOptions('', '', 'token'), ['--token', 'a', '--token-file', 'b']);
    expect(both).toThrow(/^--token-file: cannot be combined with --token, /);
    expect(() => tokenFrom({ ...none, 'token-file': place('none') }, undefined)).toThrow(
      /^--token-file: expected a file that can be read, got .*none$/,
    );
    const expected = 'expected one line of 1 to 256 printable characters';
    const file = fileWith('two\nlines');
    expect(() => tokenFrom({ ...none, 'token-file': file }, undefined)).toThrow(`--token-file ${file}: ${expected}`);
    expect(() => tokenFrom(none, 'x'.repeat(257))).toThrow(new RegExp(`^LOCKSTEP_TOKEN: ${expected}$`));
  });
});

const lines = ['Join with: LOCKSTEP_TOKEN=secret worker', 'Dashboard: http://127.0.0.1/#admin=secret'];

describe('addresses with secrets', () => {
  it('are printed without a file', () => {
    expect(addressesToPrint(lines, undefined)).toEqual(lines);
  });

  it.runIf(process.platform !== 'win32')(
    'are in the file for its owner alone, even if others could read it before',
    () => {
      const files = [place('made'), place('there before')];
      writeFileSync(files[1]!, 'x'.repeat(1000));
      chmodSync(files[1]!, 0o644);
      for (const file of files) {
        expect(addressesToPrint(lines, file)).toEqual([`The addresses for joining and watching are in ${file}.`]);
        expect(readFileSync(file, 'utf8')).toBe(`${lines.join('\n')}\n`);
        expect(statSync(file).mode & 0o777).toBe(0o600);
      }
    },
  );

  it('are not printed if the file cannot be written: that is a failure of one sentence', () => {
    mkdirSync(place('folder'));
    const message = expect.stringMatching(/^--addresses: could not write .*folder: .+$/);
    const failure = expect.objectContaining({ exitCode: 1, message });
    expect(() => addressesToPrint(lines, place('folder'))).toThrow(failure);
  });
});
