/**
 * Runs the inherently long tests: floods, a thousand workers, repeated kills, random seeds. Their time is bounded, so
 * that a part of them can run if the whole would take too long.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromiumPath, environment, fail, reporters, root } from './project.mjs';
import { setUp } from './set-up.mjs';

/** Series of rounds that run until their time is over; most machines run two of them at once. */
const seriesAtOnce = 4;

function wholeNumber(name, text, most) {
  if (/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= most) return Number(text);
  return fail(`--${name}: expected a whole number from 1 to ${most}, got ${text}`, 2);
}

function readOptions() {
  const options = { minutes: { type: 'string', default: '20' }, seed: { type: 'string' } };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const minutes = wholeNumber('minutes', values.minutes, 10_000);
    const fresh = `${1 + (Date.now() % 1_000_000_000)}`;
    return { minutes, seed: wholeNumber('seed', values.seed ?? fresh, 4_000_000_000), files: positionals };
  } catch (error) {
    return fail(`test:long: ${error.message}`, 2);
  }
}

const { minutes, seed, files } = readOptions();
const ms = minutes * 60_000;
await setUp({ packages: 'all', build: ['build', 'build-for-tests'] });
process.stdout.write(`Long tests, for ${minutes} min from seed ${seed}: again with --seed ${seed}\n`);
const { status } = spawnSync(
  join(root, 'node_modules', '.bin', 'vitest'),
  ['run', '--mode', 'long', '--sequence.shuffle.files', `--sequence.seed=${seed}`, ...reporters, ...files],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...environment,
      CHROME_PATH: chromiumPath(),
      LOCKSTEP_LONG_SEED: `${seed}`,
      LOCKSTEP_LONG_UNTIL_MS: `${Date.now() + ms}`,
      LOCKSTEP_LONG_SERIES_MS: `${Math.floor(ms / seriesAtOnce)}`,
    },
  },
);
if (status !== 0) fail(`long tests failed: again with --seed ${seed}`, status ?? 1);
process.exit(0);
