/**
 * Copies the private packages that the one in the working directory is made of into its `dist/rooms`, with their sources,
 * and lets all modules import them there: users install one package. The bundle for Node has them already.
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';

const compiled = /(\.d\.ts|\.js)(\.map)?$/;
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));
const { buildDependencies } = readJson('package.json');
const folders = new Map(buildDependencies.map((name) => [name, posix.join('rooms', name.split('/')[1])]));

/** For each module that a private package exports: its file in `dist`. */
const moduleFiles = new Map(
  [...folders].flatMap(([name, folder]) => {
    const { exports } = readJson(join('node_modules', name, 'package.json'));
    return Object.entries(exports).map(([path, target]) => [
      posix.join(name, path),
      posix.join(folder, target.default),
    ]);
  }),
);

rmSync('dist/rooms', { recursive: true, force: true });
for (const [name, folder] of folders) {
  const room = join('node_modules', name);
  // Compiler output whose source is gone stays behind.
  const hasSource = (path) =>
    existsSync(join(room, 'src', relative(join(room, 'dist'), path).replace(compiled, '.ts')));
  cpSync(join(room, 'src'), join('dist', folder, 'src'), { recursive: true });
  cpSync(join(room, 'dist'), join('dist', folder, 'dist'), {
    recursive: true,
    filter: (path) => !compiled.test(path) || hasSource(path),
  });
}
for (const entry of readdirSync('dist', { recursive: true })) {
  const file = entry.replaceAll('\\', '/');
  if (/^bundle\/.*\.map$/.test(file)) {
    rewrite(file, /"\.\.\/\.\.\/\.\.\/(\w+)\/src\//g, (_, room) => `"../rooms/${room}/src/`);
  } else if (/(\.d\.ts|\.js)$/.test(file) && !file.startsWith('bundle/')) {
    rewrite(file, /(?<=['"])@lockstep\/[\w/-]+(?=['"])/g, (name) => {
      const path = moduleFiles.has(name) ? posix.relative(posix.dirname(file), moduleFiles.get(name)) : name;
      return path.startsWith('rooms') ? `./${path}` : path;
    });
  }
}

function rewrite(file, pattern, replacement) {
  const path = join('dist', file);
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll(pattern, replacement));
}
