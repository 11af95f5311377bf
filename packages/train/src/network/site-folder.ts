/** Where the page is, as it is built. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** In the package that has it. */
export const siteFolder = join(dirname(createRequire(import.meta.url).resolve('@lockstep/web/package.json')), 'dist');
