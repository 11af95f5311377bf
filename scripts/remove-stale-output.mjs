/** Removes what the compiler once wrote into the working directory's `dist` for sources that are gone: it must not be packed. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const compiled = /(\.d\.ts|\.js)(\.map)?$/;

for (const file of readdirSync('dist', { recursive: true })) {
  if (compiled.test(file) && !existsSync(join('src', file.replace(compiled, '.ts')))) rmSync(join('dist', file));
}
