/** Removes compiler output whose source is gone from the working directory's `dist`: it must not be packed. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const compiled = /(\.d\.ts|\.js)(\.map)?$/;

/** Rewritten by each build. */
const bundle = /^bundle[\\/]/;

for (const file of readdirSync('dist', { recursive: true })) {
  if (bundle.test(file) || !compiled.test(file)) continue;
  if (!existsSync(join('src', file.replace(compiled, '.ts')))) rmSync(join('dist', file));
}
