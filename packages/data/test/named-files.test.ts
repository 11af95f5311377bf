/** Files that a person names: read only if regular, tried before the work, written whole. */
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { checkOutput, FileError, readParts, readRegularFile, writeOutput } from '../src/named-files.ts';

const isRoot = process.getuid?.() === 0;
/** Named pipes, devices and modes are tested only if the system has them. */
const isPosix = process.platform !== 'win32';

function makePipe(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

describe('readRegularFile', () => {
  const folder = temporaryFolder();
  const place = (name: string): string => join(folder, name);

  it('reads a file, also through a link, up to the bound', () => {
    writeFileSync(place('file'), 'text');
    symlinkSync('file', place('link'));
    for (const name of ['file', 'link']) expect(Buffer.from(readRegularFile(place(name), 4)).toString()).toBe('text');
    expect(() => readRegularFile(place('file'), 3)).toThrow(/file: expected at most 0\.0 MiB, got 0\.0 MiB$/);
  });

  it.each<[what: string, path: string, message: RegExp]>([
    ['nothing', place('nothing'), /nothing: no such file or folder$/],
    ['a folder', folder, /: expected a regular file, got a folder$/],
    ['a path through a file', place('file/inside'), /inside: part of its path is a file, not a folder$/],
    ['a name that is too long', place('x'.repeat(5_000)), /^.{1,300}: the name is too long$/],
    ['a name with a NUL', place('a\0b'), /a\\u0000b: the name contains a NUL character$/],
    ['a name with a line break', place('a\nb'), /a\\nb: no such file or folder$/],
  ])('refuses %s', (_what, path, message) => {
    writeFileSync(place('file'), 'text');
    expect(() => readRegularFile(path, 100)).toThrow(message);
  });

  it.runIf(existsSync('/proc/self/mem'))('says why the system refuses to read a file that it has opened', () => {
    const message = /mem: input\/output error$/;
    expect(() => readRegularFile('/proc/self/mem', 100)).toThrow(message);
    expect(() => [...readParts('/proc/self/mem', 100)]).toThrow(message);
    expect(() => [...readParts('/proc/self/mem', 100)]).toThrow(FileError);
  });

  it.runIf(existsSync('/proc/self/maps'))('reads a file that does not report its size, up to the bound', () => {
    const look = vi.fn();
    const bytes = readRegularFile('/proc/self/maps', 2 ** 24, look);
    expect(Buffer.from(bytes).toString()).toMatch(/^[0-9a-f]+-[0-9a-f]+ /);
    expect(look).toHaveBeenCalledWith(expect.any(Uint8Array), 0);
    expect(() => readRegularFile('/proc/self/maps', 100)).toThrow(/maps: expected at most 0\.0 MiB, got more$/);
  });

  it.runIf(isPosix)('refuses what could block or never end, without waiting', async () => {
    expect(() => readRegularFile(makePipe(place('pipe')), 100)).toThrow(/expected a regular file, got a named pipe$/);
    expect(() => readRegularFile('/dev/zero', 100)).toThrow(/expected a regular file, got a device$/);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(place('socket'), resolve));
    expect(() => readRegularFile(place('socket'), 100)).toThrow(/socket: no process at its other end$/);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('an output that is tried', () => {
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

  it('leaves everything as it is', () => {
    const before = readdirSync(folder);
    for (const name of ['old', 'link', 'new', 'dangling']) checkOutput(place(name));
    expect(readdirSync(folder)).toEqual(before);
    expect(existsSync(place('new'))).toBe(false);
    expect(readFileSync(place('old'), 'utf8')).toBe('kept');
  });

  it.each<[name: string, message: RegExp]>([
    ['missing/file', /missing\/file: cannot use the folder .*missing: no such file or folder$/],
    ['old/file', /old\/file: part of its path is a file, not a folder$/],
    ['inner', /inner: expected a file, got a folder$/],
    ['missing/', /missing\/: expected a file, got a folder$/],
    ['loop', /loop: its links form a loop$/],
    ['x'.repeat(256), /^.{1,300}: the name is too long$/],
    ['x'.repeat(5_000), /^.{1,300}: the name is too long/],
    ['a\0b', /a\\u0000b: the name contains a NUL character/],
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
      expect(() => checkOutput(place('closed/new'))).toThrow(/cannot create a file in this folder: permission denied$/);
      writeFileSync(place('read-only'), '', { mode: 0o400 });
      expect(() => checkOutput(place('read-only'))).toThrow(/: permission denied$/);
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

describe('an output that is written', () => {
  const folder = temporaryFolder();
  const place = (name: string): string => join(folder, name);

  const textOf = (name: string): string => readFileSync(place(name), 'utf8');
  const parts = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.part'));
  /** More than a pipe can buffer. */
  const large = 'lockstep '.repeat(50_000);

  describe('a regular file', () => {
    it('is written as bytes or text, over an old one, as another file of that name', async () => {
      await writeOutput(place('model'), Uint8Array.of(1, 2, 3));
      expect([...readFileSync(place('model'))]).toEqual([1, 2, 3]);
      const { ino } = statSync(place('model'));
      await writeOutput(place('model'), 'text');
      expect(textOf('model')).toBe('text');
      expect(statSync(place('model')).ino).not.toBe(ino);
      expect(parts()).toEqual([]);
    });

    it('may have the longest name that the file system takes', async () => {
      await writeOutput(place('x'.repeat(255)), 'text');
      expect(textOf('x'.repeat(255))).toBe('text');
    });

    it.runIf(isPosix)('keeps its mode', async () => {
      for (const mode of [0o600, 0o640, 0o755]) {
        writeFileSync(place('mode'), '');
        chmodSync(place('mode'), mode);
        await writeOutput(place('mode'), 'text');
        expect(statSync(place('mode')).mode & 0o7777).toBe(mode);
      }
    });

    it.runIf(isRoot)(
      isRoot ? 'keeps its owner' : 'keeps its owner (skipped: only root may give files away)',
      async () => {
        writeFileSync(place('owned'), '', { mode: 0o640 });
        chownSync(place('owned'), 1234, 2345);
        await writeOutput(place('owned'), 'text');
        expect(statSync(place('owned'))).toMatchObject({ uid: 1234, gid: 2345 });
        expect(textOf('owned')).toBe('text');
      },
    );

    it('with two names stays one file', async () => {
      writeFileSync(place('one'), 'longer than the new text');
      linkSync(place('one'), place('two'));
      await writeOutput(place('two'), 'text');
      expect(textOf('one')).toBe('text');
      expect(statSync(place('one')).ino).toBe(statSync(place('two')).ino);
    });

    it('is found through links, which stay', async () => {
      mkdirSync(place('elsewhere'));
      symlinkSync('elsewhere/target', place('link'));
      symlinkSync('link', place('link to link'));
      for (const text of ['new', 'again']) {
        await writeOutput(place('link to link'), text);
        expect(textOf('elsewhere/target')).toBe(text);
      }
      expect(readlinkSync(place('link'))).toBe('elsewhere/target');
      expect(readlinkSync(place('link to link'))).toBe('link');
      expect(readdirSync(place('elsewhere'))).toEqual(['target']);
    });

    it.skipIf(isRoot)(
      isRoot
        ? 'in a folder that takes no new files is written in place (skipped: root may write everywhere)'
        : 'in a folder that takes no new files is written in place',
      async () => {
        mkdirSync(place('closed'));
        writeFileSync(place('closed/file'), 'longer than the new text');
        chmodSync(place('closed'), 0o500);
        await writeOutput(place('closed/file'), 'text');
        expect(textOf('closed/file')).toBe('text');
        chmodSync(place('closed'), 0o700);
      },
    );
  });

  describe('what cannot be written', () => {
    it('is one sentence, and leaves what was there', async () => {
      mkdirSync(place('occupied'));
      writeFileSync(place('occupied/inside'), 'kept');
      await expect(writeOutput(place('occupied'), 'new')).rejects.toThrow(
        /^could not write .*occupied: expected a file, got a folder$/,
      );
      await expect(writeOutput(place('nowhere/model'), 'x')).rejects.toThrow(FileError);
      expect(textOf('occupied/inside')).toBe('kept');
      expect(parts()).toEqual([]);
    });

    it.runIf(process.platform === 'linux')('for want of space says so', async () => {
      await expect(writeOutput('/dev/full', 'x')).rejects.toThrow(
        /^could not write \/dev\/full: no space left on the disk$/,
      );
      expect(lstatSync('/dev/full').isCharacterDevice()).toBe(true);
    });

    it.runIf(isPosix)('into a pipe that no process reads fails at once', async () => {
      await expect(writeOutput(makePipe(place('idle')), 'x')).rejects.toThrow(/no process at its other end$/);
    });
  });

  describe.runIf(isPosix)('a special file', () => {
    it('that is a device is written through, and stays', async () => {
      await writeOutput('/dev/null', 'text');
      expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
    });

    it('that is a pipe passes everything to its reader, also through a link', async () => {
      const pipe = makePipe(place('pipe'));
      symlinkSync('pipe', place('link to pipe'));
      const reader = execFile('cat', [pipe], { maxBuffer: 2 * large.length });
      let read = '';
      reader.stdout!.setEncoding('utf8').on('data', (text: string) => {
        read += text;
      });
      const ended = new Promise((resolve) => reader.once('close', resolve));
      // Retry until the reader has opened the pipe: before that a writer is refused at once.
      for (let isRead = false; !isRead; ) {
        isRead = await writeOutput(place('link to pipe'), large).then(
          () => true,
          (error: Error) => {
            expect(error.message).toMatch(/no process at its other end$/);
            return false;
          },
        );
      }
      await ended;
      expect(read).toBe(large);
      expect(lstatSync(pipe).isFIFO()).toBe(true);
    });
  });

  describe.runIf(process.platform === 'linux')('a name of a standard stream', () => {
    const program = `
    import { checkOutput, writeOutput } from ${JSON.stringify(new URL('../dist/named-files.js', import.meta.url).href)};
    const path = process.argv[1];
    checkOutput(path);
    process.stdout.write('before\\n');
    await writeOutput(path, ${JSON.stringify('content\n')});
    process.stdout.write('after\\n');
  `;
    const args = (path: string): string[] => ['--input-type=module', '--eval', program, path];

    it.each(['/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'])('%s is written to where it leads', async (path) => {
      const { stdout } = await promisify(execFile)(process.execPath, args(path));
      expect(stdout).toBe('before\ncontent\nafter\n');
    });

    it('is written into the file that it is, between what else is printed', async () => {
      const command = 'exec "$0" "$@" > "$OUT"';
      const env = { ...process.env, OUT: place('printed') };
      await promisify(execFile)('sh', ['-c', command, process.execPath, ...args('/dev/stdout')], { env });
      expect(textOf('printed')).toBe('before\ncontent\nafter\n');
    });

    it('that is closed is refused', async () => {
      await expect(writeOutput('/dev/fd/987', 'x')).rejects.toThrow(
        'expected an open descriptor, got one that is closed',
      );
    });
  });
});
