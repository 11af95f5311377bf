/** Removes what the compiler once wrote into the working directory's `dist` for sources that are gone: it must not be packed. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const compiled = /(\.d\.ts|\.js)(\.map)?$/;

/** Written anew by each build. */
const bundle = /^(bundle|vendor)[\\/]/;

for (const file of readdirSync('dist', { recursive: true })) {
  if (bundle.test(file) || !compiled.test(file)) continue;
  if (!existsSync(join('src', file.replace(compiled, '.ts')))) rmSync(join('dist', file));
}
