/** The manifests of a release name the repository that the clone came from. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';

const root = join(import.meta.dirname, '../../..');
const clone = temporaryFolder();
const manifests = { 'apps/one': { name: 'one' }, 'packages/two': { name: 'two' }, 'packages/own': { private: true } };

cpSync(join(root, 'scripts'), join(clone, 'scripts'), { recursive: true });
cpSync(join(root, 'package.json'), join(clone, 'package.json'));
for (const [folder, manifest] of Object.entries(manifests)) {
  mkdirSync(join(clone, folder), { recursive: true });
  writeFileSync(join(clone, folder, 'package.json'), JSON.stringify(manifest));
}
execFileSync('git', ['init', '--quiet'], { cwd: clone });

const release = () =>
  spawnSync(process.execPath, ['scripts/release.mjs', 'repository'], { cwd: clone, encoding: 'utf8' });
const manifestIn = (folder: string) => JSON.parse(readFileSync(join(clone, folder, 'package.json'), 'utf8'));

it('refuses to name none, or a folder of this machine', () => {
  const expected = "expected the public address of this repository as git's remote origin, got";
  expect(release()).toMatchObject({ status: 1, stderr: `lockstep: release: ${expected} none\n` });
  execFileSync('git', ['remote', 'add', 'origin', '/tmp/elsewhere'], { cwd: clone });
  expect(release()).toMatchObject({ status: 1, stderr: `lockstep: release: ${expected} /tmp/elsewhere\n` });
});

it.each(['https://example.org/us/lockstep.git', 'git@example.org:us/lockstep.git'])('names %s', (url) => {
  execFileSync('git', ['remote', 'set-url', 'origin', url], { cwd: clone });
  expect(release().status).toBe(0);
  expect(manifestIn('apps/one')).toEqual({ name: 'one', repository: { type: 'git', url, directory: 'apps/one' } });
  expect(manifestIn('packages/two').repository.directory).toBe('packages/two');
  expect(manifestIn('packages/own')).toEqual({ private: true });
});
