/**
 * Runs lint, type checks and tests in turn, cheapest first, and stops at the first failure: the quick tests, or with
 * `--all` all tests. With `--all --rest`, runs only the tests that are not quick. With `--long`, runs only the inherently
 * long tests: floods, a thousand workers, repeated kills, random seeds. Their time is bounded, so that a part of them can
 * run if the whole would take too long.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { environment, fail, log, root } from './project.mjs';
import { setUp } from './set-up.mjs';

/** Series of rounds that run until their time is over; most machines run two of them at once. */
const seriesAtOnce = 4;

const bin = (program) => join(root, 'node_modules', '.bin', program);

function check(what, program, args, env = {}) {
  const { status } = spawnSync(bin(program), args, { cwd: root, stdio: 'inherit', env: { ...environment, ...env } });
  if (status !== 0) fail(`${what} failed`, status ?? 1);
}

/** The browser for the tests, installed first if necessary: the build has the program that does. */
async function browser() {
  const { browserForTests } = await import('../packages/chromium/dist/install.js');
  return browserForTests();
}

function wholeNumber(name, text, most) {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= most) return Number(text);
  return fail(`--${name}: expected a whole number from 1 to ${most}, got ${text}`, 2);
}

function longOptions(args) {
  const options = { minutes: { type: 'string', default: '20' }, seed: { type: 'string' } };
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    const fresh = `${1 + (Date.now() % 1_000_000_000)}`;
    const seed = wholeNumber('seed', values.seed ?? fresh, 4_000_000_000);
    return { minutes: wholeNumber('minutes', values.minutes, 10_000), seed, files: positionals };
  } catch (error) {
    return fail(`test:long: ${error.message}`, 2);
  }
}

async function testLong(args) {
  const { minutes, seed, files } = longOptions(args);
  const ms = minutes * 60_000;
  await setUp({ packages: 'all', build: ['build', 'build-for-tests'] });
  process.stdout.write(`Long tests, for ${minutes} min from seed ${seed}: again with --seed ${seed}\n`);
  const seriesMs = Math.floor(ms / seriesAtOnce);
  const limit = `--testTimeout=${seriesMs + 600_000}`;
  const order = ['--sequence.shuffle.files', `--sequence.seed=${seed}`];
  check(`long tests (again with --seed ${seed})`, 'vitest', ['run', '--mode', 'long', limit, ...order, ...files], {
    CHROME_PATH: await browser(),
    LOCKSTEP_LONG_SEED: `${seed}`,
    LOCKSTEP_LONG_UNTIL_MS: `${Date.now() + ms}`,
    LOCKSTEP_LONG_SERIES_MS: `${seriesMs}`,
  });
}

/** @param mode of vitest.config.ts */
async function test(mode, args) {
  if (mode !== 'rest') check('lint and format', 'biome', ['ci', '.']);
  // Types and tests need the build, which another command may be running as well.
  await setUp({ packages: 'all', build: ['build', 'build-for-tests'] });
  if (mode !== 'rest') check('types', 'turbo', ['run', 'typecheck', '--output-logs=errors-only']);
  check('tests', 'vitest', ['run', '--mode', mode, ...args], { CHROME_PATH: await browser() });
  if (mode === 'test') tellRest(args);
}

/** Ends the quick tests with what they leave out. */
function tellRest(args) {
  const list = ['list', '--filesOnly', '--mode', 'rest', ...args];
  const { stdout } = spawnSync(bin('vitest'), list, { cwd: root, encoding: 'utf8', env: environment });
  const files = stdout.match(/\.full\.test\.ts$/gm)?.length ?? 0;
  const command = ['npm run test:all', ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
  if (files > 0) log(`Not run: ${files} files, mostly of browsers, processes and GPUs. Run them with: ${command}`);
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--long') await testLong(rest);
else if (first !== '--all') await test('test', process.argv.slice(2));
else if (rest[0] === '--rest') await test('rest', rest.slice(1));
else await test('all', rest);
process.exit(0);
