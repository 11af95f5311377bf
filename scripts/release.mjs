/**
 * Makes a release: `version` turns the changesets into versions and changelogs; `publish` builds the packages, checks
 * them packed, and publishes those that the registry lacks.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
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
  const constant = join(root, 'packages', 'train', 'src', 'version.ts');
  const text = readFileSync(constant, 'utf8');
  writeFileSync(constant, text.replace(/version = '.*'/, `version = '${version}'`));
}

const parts = {
  version() {
    run('taking the changesets', bin('changeset'), ['version']);
    writeVersion();
  },
  publish() {
    run('the build', bin('turbo'), ['run', 'build', '--output-logs=errors-only']);
    run('the test of the packed packages', bin('vitest'), ['run', 'apps/lockstep']);
    run('publishing', bin('changeset'), ['publish']);
  },
};

const [name, ...others] = process.argv.slice(2);
if (!Object.hasOwn(parts, name ?? '') || others.length > 0) {
  fail(`release: expected ${Object.keys(parts).join(' or ')}, got ${process.argv.slice(2).join(' ') || 'nothing'}`, 2);
}
const [major] = process.versions.node.split('.').map(Number);
if (major < oldestNode) fail(`release: expected Node ${oldestNode} or newer, got ${process.versions.node}`, 2);
parts[name]();
