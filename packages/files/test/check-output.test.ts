import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkOutput } from '../src/check-output.ts';
import { isPosix, isRoot, makePipe, temporaryFolder } from './temporary-folder.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);

beforeAll(() => {
  writeFileSync(place('old'), 'kept');
  symlinkSync('old', place('link'));
  symlinkSync('new', place('dangling'));
  symlinkSync('loop', place('loop'));
  linkSync(place('old'), place('hard'));
  mkdirSync(place('inner'));
  symlinkSync(folder, place('inner/up'));
});

describe('an output that is tried', () => {
  it('leaves everything as it is', () => {
    const before = readdirSync(folder);
    for (const name of ['old', 'link', 'new', 'dangling']) checkOutput(place(name));
    expect(readdirSync(folder)).toEqual(before);
    expect(existsSync(place('new'))).toBe(false);
    expect(readFileSync(place('old'), 'utf8')).toBe('kept');
  });

  it.each<[name: string, message: RegExp]>([
    ['missing/file', /missing\/file: expected a file in a folder that exists, got nothing there at .*missing$/],
    ['old/file', /old\/file: expected a file that can be written to, got a file where a folder is needed$/],
    ['inner', /inner: expected a file, got a folder$/],
    ['missing/', /missing\/: expected the name of a file, got that of a folder$/],
    ['loop', /loop: .*got links that lead in a circle$/],
    ['x'.repeat(256), /^.{1,300}: expected a file that can be written to, got a name that is too long$/],
    ['x'.repeat(5_000), /^.{1,300}: expected .*, got a name that is too long/],
    ['a\0b', /a\\u0000b: .*got a name with a NUL character/],
  ])('is refused where it cannot be written, case %#', (name, message) => {
    expect(() => checkOutput(`${folder}/${name}`)).toThrow(message);
  });

  it('may have the longest name that the file system takes', () => {
    expect(checkOutput(place('x'.repeat(255)))).toMatch(/x{255}$/);
  });

  it.skipIf(isRoot)(
    isRoot ? 'is refused without permission (skipped: root may write everywhere)' : 'is refused without permission',
    () => {
      mkdirSync(place('closed'), { mode: 0o500 });
      expect(() => checkOutput(place('closed/new'))).toThrow(/in a folder that can be written to, got no permission$/);
      writeFileSync(place('read-only'), '', { mode: 0o400 });
      expect(() => checkOutput(place('read-only'))).toThrow(/that can be written to, got no permission$/);
      // In a folder that takes no new files, a writable file is written in place.
      writeFileSync(place('inner/old'), '');
      chmodSync(place('inner'), 0o500);
      expect(checkOutput(place('inner/old'))).toBeDefined();
      chmodSync(place('inner'), 0o700);
    },
  );

  it.each([
    ['old', 'link'],
    ['old', 'hard'],
    ['old', 'inner/../old'],
    ['old', 'inner/up/old'],
    ['new', 'dangling'],
    ['new', './inner/up/new'],
  ])('is known again by another name: %s and %s', (one, other) => {
    expect(checkOutput(`${folder}/${other}`)).toBe(checkOutput(place(one)));
  });

  it('differs from other outputs', () => {
    expect(checkOutput(place('old'))).not.toBe(checkOutput(place('new')));
    expect(checkOutput(place('new'))).not.toBe(checkOutput(place('new2')));
  });

  it.runIf(isPosix)(
    'may be a device, which others may write to as well, or a pipe, which nothing is written to yet',
    () => {
      expect(checkOutput('/dev/null')).toBeUndefined();
      const pipe = makePipe(place('pipe'));
      expect(checkOutput(pipe)).toBe(checkOutput(pipe));
    },
  );
});
