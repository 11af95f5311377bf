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
    if (name !== undefined) found[name] = sourceOf(conditions.default);
  }
  return found;
}

/** A module of a private package is built from there. */
function sourceOf(module) {
  const [, room = '.', path] = module.match(/^\.\/dist\/(?:rooms\/([^/]+)\/dist\/)?(.+)\.js$/);
  return `${room === '.' ? '' : `../${room}/`}src/${path}.ts`;
}

/** Packages of this repository that are not published: their modules become part of the bundle, from their sources. */
const taken = (manifest.buildDependencies ?? []).filter((name) => name.startsWith('@lockstep/'));
const isTaken = (id) => taken.some((name) => id === name || id.startsWith(`${name}/`));

export default {
  input: entries(),
  platform: 'node',
  logLevel: 'warn',
  // Other packages stay packages: each is loaded once, whichever of them imports it.
  external: (id) => !id.startsWith('.') && !isAbsolute(id) && !isTaken(id),
  resolve: { conditionNames: ['source', 'node', 'import', 'default'] },
  transform: { target: 'es2022' },
  // Programs act when they are loaded, which `sideEffects` of the manifest says only of the modules.
  treeshake: { moduleSideEffects: true },
  output: { dir: folder, format: 'esm', cleanDir: true, sourcemap: true, chunkFileNames: '[name]-[hash].js' },
};
