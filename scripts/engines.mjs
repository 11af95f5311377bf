/** Trains the same short runs on several JavaScript engines, and fails unless the weights are bit-identical. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChild } from '../apps/lockstep/child.mjs';
import { fail, root } from './project.mjs';

const training = [join(root, 'apps', 'coordinator', 'dist', 'main.js'), 'start', '--port', '0'];
const ways = {
  single: ['--single', '--steps', '200'],
  '2 workers': ['--workers', '2', '--steps', '200'],
  cnn: ['--single', '--model', 'cnn', '--steps', '20'],
  gpt: ['--single', '--model', 'gpt-nano', '--steps', '20'],
};

/** Engines from npm packages; those not required may be missing on this machine. */
const engines = {
  'node 20': { npmPackage: 'node@20', command: 'node', required: true },
  'node 22': { npmPackage: 'node@22', command: 'node', required: true },
  'node 24': { npmPackage: 'node@24', command: 'node', required: true },
  'node 26': { npmPackage: 'node@26', command: 'node', required: true },
  bun: { npmPackage: 'bun@1', command: 'bun' },
  deno: { npmPackage: 'deno@2', command: 'deno', flags: ['run', '--allow-all'] },
};

const folder = mkdtempSync(join(tmpdir(), 'lockstep-engines-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Runs an engine: this process's own, if it is the same. */
async function execute({ npmPackage, command }, args) {
  const isOwn = npmPackage === `node@${process.versions.node.split('.')[0]}`;
  const npx = isOwn ? [] : ['--yes', '--package', npmPackage, '--', command];
  let text = '';
  const { code, signal, error } = await runChild(isOwn ? process.execPath : 'npx', [...npx, ...args], {
    cwd: folder,
    group: true,
    shell: process.platform === 'win32',
    output: (part) => {
      text += part;
    },
  });
  if (signal !== undefined) process.exit(code || 130);
  return { code, text: error?.message ?? text.trim() };
}

async function weightsOn(engine, options) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const { code, text } = await execute(engine, [...(engine.flags ?? []), ...training, ...options, '--report', report]);
  if (code !== 0) return { fault: text.split('\n').at(-1) };
  return { hash: JSON.parse(readFileSync(report, 'utf8')).weightsSha256 };
}

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(engines, name));
if (unknown !== undefined) fail(`expected engines of ${Object.keys(engines).join(', ')}; got ${unknown}`, 2);
/** Sets of weights of each model, which must be one. */
const hashes = new Map(['mlp', 'cnn', 'gpt'].map((model) => [model, new Set()]));
let failures = 0;
for (const [name, engine] of Object.entries(engines)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const { code, text } = await execute(engine, ['--version']);
  if (code !== 0) {
    process.stdout.write(`${name.padEnd(9)}could not be installed: ${text.split('\n').at(-1)}\n`);
    if (engine.required) failures += 1;
    continue;
  }
  const [version] = text.match(/\d+\.[\w.]+/) ?? [''];
  for (const [way, options] of Object.entries(ways)) {
    const { hash, fault } = await weightsOn(engine, options);
    process.stdout.write(`${name.padEnd(9)}${version.padEnd(11)}${way.padEnd(11)}${hash ?? fault}\n`);
    if (hash === undefined) failures += 1;
    else (hashes.get(way) ?? hashes.get('mlp')).add(hash);
  }
}
if ([...hashes.values()].some(({ size }) => size > 1))
  fail('expected the same weights on every engine, got those above');
if (failures > 0) fail(`expected every run to end; ${failures} failed, as listed above`);
process.exit(0);
