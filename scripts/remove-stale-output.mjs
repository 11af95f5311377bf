/** Removes compiler output whose source is gone from the working directory's `dist`: it must not be packed. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const compiled = /(\.d\.ts|\.js)(\.map)?$/;

/** Rewritten by each build. */
const rewritten = /^(bundle|rooms)[\\/]/;

for (const file of readdirSync('dist', { recursive: true })) {
  if (rewritten.test(file) || !compiled.test(file)) continue;
  if (!existsSync(join('src', file.replace(compiled, '.ts')))) rmSync(join('dist', file));
}
