/** Prints the path of a browser for the tests, installing one where there is none; else says on stderr why there is none. */
import { noBrowserWanted } from './find.ts';
import { findOrInstallHere } from './install.ts';

const result = await findOrInstallHere();
if ('reason' in result) process.stderr.write(`lockstep: ${result.reason}\n`);
process.stdout.write('path' in result ? result.path : noBrowserWanted);
