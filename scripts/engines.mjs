/** Trains the same short run on several JavaScript engines, and fails unless the weights are bit-identical. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChild } from '../apps/lockstep/child.mjs';
import { fail, root } from './project.mjs';

const program = join(root, 'apps', 'coordinator', 'dist', 'main.js');
const training = [program, 'start', '--steps', '200', '--port', '0'];
const ways = { single: ['--single'], '2 workers': ['--workers', '2'] };

/** Engines from npm packages; those not required may be missing on this machine. */
const engines = {
  'node 20': { npmPackage: 'node@20', args: ['node'], required: true },
  'node 22': { npmPackage: 'node@22', args: ['node'], required: true },
  'node 24': { npmPackage: 'node@24', args: ['node'], required: true },
  bun: { npmPackage: 'bun@1', args: ['bun'], required: false },
  deno: { npmPackage: 'deno@2', args: ['deno', 'run', '--allow-all'], required: false },
};

const folder = mkdtempSync(join(tmpdir(), 'lockstep-engines-'));

async function execute(program, args) {
  let text = '';
  const output = (part) => {
    text += part;
  };
  const { code, signal, error } = await runChild(program, args, {
    cwd: folder,
    group: true,
    shell: process.platform === 'win32',
    output,
  });
  if (signal !== undefined) {
    rmSync(folder, { recursive: true, force: true });
    process.exit(code || 130);
  }
  return { code, text: error?.message ?? text.trim() };
}

/** The command that starts an engine: this process's own, if it is the same engine. */
function commandOf({ npmPackage, args }) {
  const [major] = process.versions.node.split('.');
  if (npmPackage === `node@${major}`) return [process.execPath, []];
  return ['npx', ['--yes', '--package', npmPackage, '--', ...args]];
}

async function weightsOn([engine, prefix], options) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const { code, text } = await execute(engine, [...prefix, ...training, ...options, '--report', report]);
  if (code !== 0) return { fault: text.split('\n').at(-1) };
  return { hash: JSON.parse(readFileSync(report, 'utf8')).weightsSha256 };
}

async function main(asked) {
  const unknown = asked.find((name) => !Object.hasOwn(engines, name));
  if (unknown !== undefined) fail(`expected engines of ${Object.keys(engines).join(', ')}; got ${unknown}`, 2);
  const hashes = new Set();
  let failures = 0;
  for (const [name, engine] of Object.entries(engines)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const command = commandOf(engine);
    const version = await execute(command[0], [
      ...command[1].filter((arg) => !/^(run|--allow-all)$/.test(arg)),
      '--version',
    ]);
    if (version.code !== 0) {
      process.stdout.write(`${name.padEnd(9)}could not be had: ${version.text.split('\n').at(-1)}\n`);
      if (engine.required) failures += 1;
      continue;
    }
    for (const [way, options] of Object.entries(ways)) {
      const { hash, fault } = await weightsOn(command, options);
      const release = version.text
        .split('\n')[0]
        .replace(/^deno /, '')
        .replace(/ .*/, '');
      process.stdout.write(`${name.padEnd(9)}${release.padEnd(11)}${way.padEnd(11)}${hash ?? fault}\n`);
      if (hash === undefined) failures += 1;
      else hashes.add(hash);
    }
  }
  if (hashes.size > 1) fail('expected the same weights on every engine, got those above');
  if (failures > 0) fail(`expected every run to end; ${failures} did not, as said above`);
}

try {
  await main(process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
