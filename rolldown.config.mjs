/**
 * Joins the modules of the package in the working directory into the few files that Node loads. Node 20 takes most of a
 * millisecond for each module, and a run has five hundred of ours; bundlers of pages get the modules, to leave out what a
 * page does not need.
 */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';

const folder = 'dist/bundle';
const manifest = JSON.parse(readFileSync('package.json', 'utf8'));

/** One file for each export that names a file of `folder` for Node, from the module that it names by default. */
function entries() {
  const found = {};
  for (const conditions of Object.values(manifest.exports)) {
    const name = conditions.node?.match(/^\.\/dist\/bundle\/(.+)\.js$/)?.[1];
    if (name !== undefined) found[name] = conditions.default.replace(/^\.\/dist\/(.+)\.js$/, 'src/$1.ts');
  }
  return found;
}

/**
 * Packages that are not ES modules, each with its file of `dist/vendor` that is: a page that loads modules as they are, as
 * from a development server, can import no others.
 */
function vendored() {
  const found = {};
  for (const conditions of Object.values(manifest.imports ?? {})) {
    const name = conditions.default.match(/^\.\/dist\/vendor\/(.+)\.js$/)?.[1];
    if (name !== undefined) found[name] = conditions.node;
  }
  return found;
}

const forNode = {
  input: entries(),
  platform: 'node',
  logLevel: 'warn',
  // Other packages stay packages: each is loaded once, whichever of them imports it.
  external: (id) => !id.startsWith('.') && !isAbsolute(id),
  transform: { target: 'es2022' },
  // Programs act when they are loaded, which `sideEffects` of the manifest says only of the modules.
  treeshake: { moduleSideEffects: true },
  output: { dir: folder, format: 'esm', cleanDir: true, sourcemap: true, chunkFileNames: '[name]-[hash].js' },
};

const forPages = {
  input: vendored(),
  platform: 'browser',
  logLevel: 'warn',
  transform: { target: 'es2022' },
  output: { dir: 'dist/vendor', format: 'esm', cleanDir: true },
};

export default Object.keys(forPages.input).length === 0 ? forNode : [forNode, forPages];
