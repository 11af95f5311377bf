/**
 * Copies the private packages that the one in the working directory is made of into its `dist/rooms`, and lets all modules
 * import them there: users install one package. Those for Node have them in their bundle already.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

const { buildDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const rooms = 'rooms';

/** File in `dist` of each module that a private package exports. */
const moduleFiles = new Map(
  buildDependencies.flatMap((name) => {
    const { exports } = JSON.parse(readFileSync(join('node_modules', name, 'package.json'), 'utf8'));
    return Object.entries(exports).map(([path, conditions]) => [
      posix.join(name, path),
      posix.join(rooms, shortOf(name), conditions.default.replace('./dist/', '')),
    ]);
  }),
);

function shortOf(name) {
  return name.split('/')[1];
}

/** Modules and their types in a folder, without what is written by the bundler or taken in. */
function modulesIn(folder) {
  return readdirSync(folder, { recursive: true })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => /(\.d\.ts|\.js)$/.test(file) && !/^(bundle|rooms)\//.test(file));
}

/** @param target path in `dist` @param hasMap whether its source map lies beside it */
function write(target, text, hasMap) {
  const imported = text.replace(/(['"])(@lockstep\/[\w/-]+)\1/g, (whole, quote, name) => {
    const file = moduleFiles.get(name);
    if (file === undefined) return whole;
    const path = posix.relative(posix.dirname(target), file);
    return `${quote}${path.startsWith('.') ? path : `./${path}`}${quote}`;
  });
  mkdirSync(dirname(join('dist', target)), { recursive: true });
  writeFileSync(join('dist', target), hasMap ? imported : imported.replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n'));
}

rmSync(join('dist', rooms), { recursive: true, force: true });
for (const name of buildDependencies) {
  const dist = join('node_modules', name, 'dist');
  for (const file of modulesIn(dist)) {
    write(posix.join(rooms, shortOf(name), file), readFileSync(join(dist, file), 'utf8'), false);
  }
}
for (const file of modulesIn('dist')) write(file, readFileSync(join('dist', file), 'utf8'), true);
