/**
 * Prints the path of a browser for the tests, installing one if there is none; on failure, prints the reason on stderr.
 */
import { noBrowserWanted, thisMachine } from './find.ts';
import { findOrInstall } from './install.ts';
import { runQuietly } from './run-quietly.ts';

const result = await findOrInstall({
  machine: thisMachine(),
  isRoot: process.getuid?.() === 0,
  run: runQuietly,
  log: (message) => void process.stderr.write(`${message}\n`),
});
if ('reason' in result) process.stderr.write(`lockstep: ${result.reason}\n`);
process.stdout.write('path' in result ? result.path : noBrowserWanted);
