#!/usr/bin/env node
/** `npm create lockstep FOLDER`: creates a project that trains a network, in Node or in a page. */
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const usage = 'npm create lockstep FOLDER [-- --template page]';
const templates = fileURLToPath(new URL('templates', import.meta.url));

function fail(message) {
  process.stderr.write(`create-lockstep: ${message}\n`);
  process.exit(2);
}

function readManifest(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** The only folder among the arguments, and the template. */
function requestOf(args) {
  const options = { template: { type: 'string', default: 'node' } };
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    if (positionals.length === 1) return { folder: positionals[0], template: values.template };
  } catch {
    // The sentence below says what is expected.
  }
  return fail(`expected a folder for the new project, as in ${usage}, got ${args.join(' ') || 'none'}`);
}

/** The folder of the new project, which must be new or empty. */
function targetOf(folder) {
  const target = resolve(folder);
  const name = basename(target);
  if (!/^[a-z0-9][a-z0-9._-]{0,213}$/.test(name)) {
    fail(`expected a folder whose name can be a package name (lower-case letters, digits, -, . and _), got ${folder}`);
  }
  if (existsSync(target) && !(statSync(target).isDirectory() && readdirSync(target).length === 0)) {
    fail(`expected a new or empty folder, got ${folder}, which exists and is not empty`);
  }
  return { target, name };
}

const { folder, template } = requestOf(process.argv.slice(2));
const known = readdirSync(templates);
if (!known.includes(template)) fail(`--template: expected ${known.join(' or ')}, got ${template}`);
const { target, name } = targetOf(folder);
const { version } = readManifest(new URL('package.json', import.meta.url));
const source = join(templates, template);
const { dependencies, ...manifest } = readManifest(join(source, 'package.json'));
cpSync(source, target, { recursive: true });
const own = { ...manifest, name, dependencies: { ...dependencies, '@lockstep/train': `^${version}` } };
writeFileSync(join(target, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
process.stdout.write(`Created ${folder}. To train, run:\n\n  cd ${folder}\n  npm install\n  npm start\n`);
