/** The content of an upload, every way in which it can be invalid, and the folders that killed processes left behind. */
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { type PlannedFile, removeLeftBehind, Upload, uploadPlanOf, uploadPrefix } from '../src/upload.ts';

const limits = { bytes: 100, files: 3 };
const plan = (...files: readonly (readonly [path: string, bytes: unknown])[]): string =>
  JSON.stringify(files.map(([path, bytes]) => ({ path, bytes })));
const noPath = (path: string): string => `${path}: expected a path below a folder, like cats/1.png, got another one`;
const noList = 'the files: expected a list of { path, bytes } that is not empty, got something else';

describe('a list of files is refused with', () => {
  it.each<[what: string, json: string, status: number, message: string]>([
    ['no JSON', 'iris.csv', 400, noList],
    ['no list', '{}', 400, noList],
    ['no file', '[]', 400, noList],
    ['a file without a size', plan(['a', undefined]), 400, noList],
    ['half a byte', plan(['a', 1.5]), 400, noList],
    ['a negative size', plan(['a', -1]), 400, noList],
    ['a path of no name', plan(['', 1]), 400, noPath('')],
    ['an absolute path', plan(['/etc/passwd', 1]), 400, noPath('/etc/passwd')],
    ['a drive', plan(['C:/x', 1]), 400, noPath('C:/x')],
    ['a way up', plan(['../x', 1]), 400, noPath('../x')],
    ['a way up inside', plan(['a/../../x', 1]), 400, noPath('a/../../x')],
    ['a dot', plan(['./x', 1]), 400, noPath('./x')],
    ['two slashes', plan(['a//x', 1]), 400, noPath('a//x')],
    ['a slash at the end', plan(['a/', 1]), 400, noPath('a/')],
    ['a backslash', plan(['a\\..\\x', 1]), 400, noPath('a\\..\\x')],
    ['a NUL', plan(['a\0', 1]), 400, noPath('a\\u0000')],
    ['a name too long for a file system', plan(['ä'.repeat(128), 1]), 400, noPath('ä'.repeat(128))],
    ['folders too deep', plan([`${'a/'.repeat(16)}x`, 1]), 400, noPath(`${'a/'.repeat(16)}x`)],
    ['one file twice', plan(['a.csv', 1], ['A.csv', 1]), 400, 'A.csv: expected each file once, got it twice'],
    ['a file that is a folder too', plan(['a/b', 1], ['a', 1]), 400, 'a: expected a file or a folder, got both'],
    ['too many files', plan(['a', 1], ['b', 1], ['c', 1], ['d', 1]), 413, 'the files: expected at most 3, got 4'],
    ['too many bytes', plan(['a', 60], ['b', 41]), 413, 'the files: expected at most 100 bytes in all, got 101'],
  ])('%s', (_, json, status, message) => {
    expect(() => uploadPlanOf(json, limits)).toThrow(expect.objectContaining({ name: 'UploadError', status, message }));
  });
});

function open(files: readonly PlannedFile[]): Upload {
  const upload = new Upload('1', files);
  onTestFinished(() => upload.dispose());
  return upload;
}

it('a list of files takes names with emoji and in any script', () => {
  const paths = ['👩\u200d🏫 class/1.png', 'می\u200cخواهم/数学.png'];
  const files = uploadPlanOf(plan(...paths.map((path): [string, number] => [path, 1])), limits);
  expect(files.map(({ path }) => path)).toEqual(paths);
});

it('an upload is its files again, whatever its pieces are', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 8 }),
      async (contents, lengths) => {
        const upload = new Upload(
          '1',
          contents.map(({ byteLength: bytes }, index) => ({ path: `f/${index}`, bytes })),
        );
        const stream = Buffer.concat(contents);
        let offset = 0;
        for (const length of [...lengths, stream.byteLength]) {
          const piece = stream.subarray(offset, offset + length);
          await upload.add(offset, piece);
          offset += piece.byteLength;
        }
        expect(upload.isComplete).toBe(true);
        // The folder holds nothing but the files.
        expect(readdirSync(upload.folder, { recursive: true })).toHaveLength(contents.length + 1);
        const written = contents.map((_, index) => readFileSync(join(upload.folder, 'f', `${index}`)));
        await upload.dispose();
        expect(written.map((bytes) => [...bytes])).toEqual(contents.map((bytes) => [...bytes]));
        expect(existsSync(upload.folder)).toBe(false);
      },
    ),
    { numRuns: 50 },
  );
});

describe('a piece is refused', () => {
  it.each<[what: string, offset: number, bytes: number, status: number, message: string]>([
    ['that leaves bytes out', 5, 1, 409, 'the upload: expected the bytes from 4 on, got others'],
    ['that comes again', 0, 4, 409, 'the upload: expected the bytes from 4 on, got others'],
    ['from nowhere', Number.NaN, 1, 409, 'the upload: expected the bytes from 4 on, got others'],
    ['that is too long', 4, 7, 400, 'the upload: expected 10 bytes, as it began with, got more'],
  ])('%s', async (_, offset, bytes, status, message) => {
    const upload = open([{ path: 'a', bytes: 10 }]);
    await upload.add(0, new Uint8Array(4));
    await expect(upload.add(offset, new Uint8Array(bytes))).rejects.toMatchObject({ status, message });
    expect(upload.receivedBytes).toBe(4);
    await upload.add(4, new Uint8Array(6));
    expect(upload.isComplete).toBe(true);
  });

  it('that comes beside another one, or after the end', async () => {
    const upload = open([{ path: 'a', bytes: 10 }]);
    const first = upload.add(0, new Uint8Array(4));
    await expect(upload.add(0, new Uint8Array(4))).rejects.toMatchObject({ status: 409 });
    await first;
    await upload.dispose();
    await expect(upload.add(4, new Uint8Array(6))).rejects.toMatchObject({ status: 409 });
  });
});

const folder = temporaryFolder();

/** A folder name as another process of this machine would choose it. */
function nameOf(pid: number, end: string): string {
  return `${uploadPrefix().replace(/-\d+-$/, `-${pid}-`)}${end}`;
}

it('only folders of processes that are gone are removed', async () => {
  const place = mkdtempSync(join(folder, 'uploads-'));
  const living = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
  onTestFinished(() => void living.kill('SIGKILL'));
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const stay = [
    nameOf(process.pid, 'own'),
    nameOf(living.pid!, 'living'),
    // The folder of a container that shares the temporary folder but numbers its processes separately.
    `lockstep-upload-000000000000-${dead}-other`,
    `lockstep-upload-${dead}-old`,
    'something-else',
  ];
  for (const name of [...stay, nameOf(dead, 'gone')]) {
    mkdirSync(join(place, name, 'data'), { recursive: true });
    writeFileSync(join(place, name, 'data', 'iris.csv'), '1');
  }
  writeFileSync(join(place, nameOf(dead, 'file')), 'no folder');
  symlinkSync(join(place, 'something-else'), join(place, nameOf(dead, 'link')));
  await removeLeftBehind(place);
  expect(readdirSync(place).sort()).toEqual([...stay, nameOf(dead, 'file'), nameOf(dead, 'link')].sort());
  expect(readdirSync(join(place, 'something-else', 'data'))).toEqual(['iris.csv']);
  await expect(removeLeftBehind(join(folder, 'missing'))).resolves.toBeUndefined();
});

it('a folder of this process is named so that a later one finds it', () => {
  const made = basename(mkdtempSync(join(tmpdir(), uploadPrefix())));
  onTestFinished(() => rmSync(join(tmpdir(), made), { recursive: true }));
  expect(made).toMatch(new RegExp(`^lockstep-upload-[0-9a-f]{12}-${process.pid}-.{6}$`));
});
