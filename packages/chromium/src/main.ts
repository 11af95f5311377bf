/** Prints the path of a browser for the tests, getting one where there is none; else says on stderr why they are skipped. */
import { ensureBrowserHere } from './ensure.ts';
import { noBrowserWanted } from './find.ts';

const ensured = await ensureBrowserHere();
if ('message' in ensured) process.stderr.write(`lockstep: ${ensured.message}\n`);
process.stdout.write('path' in ensured ? ensured.path : noBrowserWanted);
