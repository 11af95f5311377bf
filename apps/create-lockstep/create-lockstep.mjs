#!/usr/bin/env node
/** `npm create lockstep FOLDER`: creates a project that trains a network. */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const usage = 'npm create lockstep FOLDER';
const template = fileURLToPath(new URL('template', import.meta.url));

function fail(message) {
  process.stderr.write(`create-lockstep: ${message}\n`);
  process.exit(2);
}

function readManifest(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** The folder of the new project, which must be new or empty. */
function targetOf(args) {
  const [folder, ...others] = args;
  if (folder === undefined || others.length > 0 || folder.startsWith('-')) {
    fail(`expected the folder of the new project, as in ${usage}; got ${args.join(' ') || 'none'}`);
  }
  const target = resolve(folder);
  const name = basename(target);
  if (!/^[a-z0-9][a-z0-9._-]{0,213}$/.test(name)) {
    fail(`expected a folder that npm takes as a name, of lower-case letters, digits, - . and _; got ${folder}`);
  }
  if (existsSync(target) && !(statSync(target).isDirectory() && readdirSync(target).length === 0)) {
    fail(`expected a folder that is new or empty; ${folder} is not`);
  }
  return { folder, target, name };
}

const { folder, target, name } = targetOf(process.argv.slice(2));
const { version } = readManifest(new URL('package.json', import.meta.url));
const { dependencies, ...manifest } = readManifest(join(template, 'package.json'));
cpSync(template, target, { recursive: true });
const own = { ...manifest, name, dependencies: { ...dependencies, '@lockstep/train': `^${version}` } };
writeFileSync(join(target, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
process.stdout.write(`${folder} is there. It trains with:\n\n  cd ${folder}\n  npm install\n  npm start\n`);
