/**
 * Makes a release: `repository` names this clone's origin in the manifests; `version` does the same and turns the
 * changesets into versions and changelogs; `publish` builds the packages, checks them packed, and publishes those that
 * the registry lacks.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { environment, fail, manifest, root } from './project.mjs';

/** Required by @changesets/cli. */
const oldestNode = 22;

const bin = (name) => join(root, 'node_modules', '.bin', name);

function run(what, program, args) {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', env: environment });
  if (status !== 0) fail(`${what} failed`, status ?? 1);
}

/** All packages have one version, repeated in two places besides their manifests. */
function writeVersion() {
  const { version } = JSON.parse(readFileSync(join(root, 'packages', 'train', 'package.json'), 'utf8'));
  writeFileSync(join(root, 'package.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`);
  const constant = join(root, 'packages', 'record', 'src', 'version.ts');
  const text = readFileSync(constant, 'utf8');
  writeFileSync(constant, text.replace(/version = '.*'/, `version = '${version}'`));
}

/** The address of the repository is known only to a clone of it. */
function writeRepository() {
  const { stdout } = spawnSync('git', ['remote', 'get-url', 'origin'], { cwd: root, encoding: 'utf8' });
  const url = stdout.trim();
  if (!/^(https?|ssh|git):\/\/\S+$|^[\w.-]+@[\w.-]+:\S+$/.test(url)) {
    fail(`release: expected the public address of this repository as git's remote origin, got ${url || 'none'}`);
  }
  const folders = ['apps', 'packages'].flatMap((room) =>
    readdirSync(join(root, room)).map((name) => `${room}/${name}`),
  );
  for (const directory of folders) {
    const path = join(root, directory, 'package.json');
    const own = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { private: true };
    if (own.private) continue;
    writeFileSync(path, `${JSON.stringify({ ...own, repository: { type: 'git', url, directory } }, null, 2)}\n`);
  }
}

const parts = {
  repository: writeRepository,
  version() {
    writeRepository();
    run('taking the changesets', bin('changeset'), ['version']);
    writeVersion();
  },
  publish() {
    run('the build', bin('turbo'), ['run', 'build', '--output-logs=errors-only']);
    run('the test of the packed packages', bin('vitest'), ['run', '--mode', 'all', 'apps/lockstep']);
    run('publishing', bin('changeset'), ['publish']);
  },
};

const [name, ...others] = process.argv.slice(2);
if (!Object.hasOwn(parts, name ?? '') || others.length > 0) {
  fail(`release: expected ${Object.keys(parts).join(' or ')}, got ${process.argv.slice(2).join(' ') || 'nothing'}`, 2);
}
const [major] = process.versions.node.split('.').map(Number);
if (name !== 'repository' && major < oldestNode)
  fail(`release: expected Node ${oldestNode} or newer, got ${process.versions.node}`, 2);
parts[name]();
