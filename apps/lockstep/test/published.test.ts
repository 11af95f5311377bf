/**
 * Each published package, packed, contains what it exports, imports and promises, and nothing that only this repository
 * needs.
 */
import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { checkPackage, type ProblemKind } from '@arethetypeswrong/core';
import { init, parse } from 'es-module-lexer';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { inPage, type PackedPackage, packAll, workspacePackages } from './published.ts';

const published = workspacePackages().filter(({ manifest }) => !manifest.private);

const privateNames = [
  '@lockstep/audit',
  '@lockstep/bench',
  '@lockstep/chromium',
  '@lockstep/coordinator',
  '@lockstep/examples',
  '@lockstep/lesson',
  '@lockstep/prepare',
  '@lockstep/record',
  '@lockstep/reference',
  '@lockstep/relay',
  '@lockstep/server',
  '@lockstep/sim',
  '@lockstep/simulate',
  '@lockstep/site',
];

/** Packages are ES modules only, resolved only by `exports`. */
const ofCommonJs: readonly ProblemKind[] = ['CJSResolvesToESM'];
const beforeExports = 'node10';

const packed = new Map(packAll(temporaryFolder()).map((one) => [one.name, one]));
await init;
const builtin = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

it('only what measures and tests is private, and all others have one version', () => {
  const all = workspacePackages().map(({ manifest }) => manifest);
  expect(
    all
      .filter((manifest) => manifest.private)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(privateNames);
  expect([...packed.keys()].sort()).toEqual(published.map(({ manifest }) => manifest.name).sort());
  expect(new Set([...packed.values()].map(({ manifest }) => manifest.version)).size).toBe(1);
});

it('each module that Node may import is joined into few files for it', () => {
  const modules = [...packed.values()].flatMap(({ name, manifest }) =>
    Object.entries(manifest.exports as Record<string, string | Record<string, string>>).flatMap(([path, conditions]) =>
      typeof conditions === 'string' ? [] : [{ module: posix.join(name, path), node: conditions['node'] }],
    ),
  );
  const notForNode = modules.filter(({ node }) => !node?.startsWith('./dist/bundle/'));
  expect(notForNode.map(({ module }) => module)).toEqual(['@lockstep/worker/browser']);
});

it('no module that a page may load imports one of Node, which many bundlers refuse', () => {
  const seen = new Map<string, string[]>();
  /** @param specifier import in a module of the package at `from` */
  const load = (specifier: string, from: string): void => {
    const name = specifier.startsWith('.') ? from.split('/', 2).join('/') : packageOf(specifier);
    const one = packed.get(name);
    if (!one) return;
    const file = specifier.startsWith('.')
      ? posix.join(posix.dirname(from), specifier).slice(name.length + 1)
      : pageFile(one.manifest.exports as Exports, `.${specifier.slice(name.length)}`);
    const module = posix.join(name, file);
    if (seen.has(module)) return;
    const imports = parse(one.read(file))[0].flatMap((imported) => imported.specifier ?? []);
    seen.set(module, imports);
    for (const imported of imports) load(imported, module);
  };
  for (const name of inPage) load(`@lockstep/${name}`, '');
  expect(seen.size).toBeGreaterThan(100);
  const ofNode = [...seen].filter(([, imports]) => imports.some((imported) => builtin.has(imported)));
  expect(ofNode).toEqual([]);
});

type Exports = Readonly<Record<string, Readonly<Record<string, string | { readonly default: string }>>>>;

/** The file that bundlers of a page take. */
function pageFile(exports: Exports, path: string): string {
  const conditions = exports[path]!;
  const chosen = conditions['browser'] ?? conditions['default']!;
  return posix.normalize(typeof chosen === 'string' ? chosen : chosen.default);
}

describe.each(published.map(({ manifest }) => manifest.name))('%s', (name) => {
  const open = (): PackedPackage => packed.get(name)!;

  it('pleases publint', async () => {
    const { tarball, manifest } = open();
    const { messages } = await publint({ pack: { tarball: tarball.buffer }, strict: true });
    expect(messages.map((message) => formatMessage(message, manifest))).toEqual([]);
  });

  it('has types that match what runs, for every way to resolve an ES module', async () => {
    const checked = await checkPackage(open().contents);
    const problems = checked.types ? checked.problems : [];
    const relevant = problems.filter(
      (problem) =>
        !ofCommonJs.includes(problem.kind) &&
        !('resolutionKind' in problem && problem.resolutionKind === beforeExports) &&
        !('resolutionOption' in problem && problem.resolutionOption === beforeExports),
    );
    expect(relevant).toEqual([]);
  });

  it('has its licence and README, and nothing that only this repository understands', () => {
    const { files, read, manifest } = open();
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']));
    expect(read('README.md').startsWith(`# ${name}\n`)).toBe(true);
    expect(read('package.json')).not.toMatch(/workspace:|"source"|devDependencies|buildDependencies|"scripts"/);
    expect(manifest).toMatchObject({ license: 'MIT', type: 'module', engines: { node: expect.any(String) } });
    expect(files.filter((file) => /^test\/|\.test\.|tsconfig/.test(file))).toEqual([]);
  });

  it('depends on other packages of ours in its own version', () => {
    const { manifest } = open();
    const ours = Object.entries(manifest.dependencies ?? {}).filter(([dependency]) => packed.has(dependency));
    expect(ours.filter(([, version]) => version !== manifest.version)).toEqual([]);
    expect(Object.keys(manifest.dependencies ?? {}).filter((dependency) => privateNames.includes(dependency))).toEqual(
      [],
    );
  });

  it('declares every package that it imports', () => {
    const { files, read, manifest } = open();
    const declared = new Set([
      name,
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.peerDependencies ?? {}),
      ...builtinModules.map((builtin) => `node:${builtin}`),
    ]);
    // A page is bundled, so its imports are files. A template imports other packages.
    const own = files.filter((file) => /\.m?js$/.test(file) && !file.startsWith('templates/'));
    const modules = name === '@lockstep/web' ? [] : own;
    const undeclared = modules.flatMap((file) =>
      importsOf(read(file)).flatMap((imported) => (declared.has(imported) ? [] : [`${file}: ${imported}`])),
    );
    expect(undeclared).toEqual([]);
  });

  it('leads from what runs to its source', () => {
    const { files, read } = open();
    const maps = files.filter((file) => file.endsWith('.map'));
    const compiled = files.filter((file) => /^dist\/.*(\.js|\.d\.ts)$/.test(file) && name !== '@lockstep/web');
    const unmapped = compiled.filter((file) => !maps.includes(`${file}.map`));
    expect(unmapped.filter((file) => !onlyPassesOn(read(file)))).toEqual([]);
    const sources = maps.flatMap((map) =>
      (JSON.parse(read(map)) as { sources: string[] }).sources.map((source) => posix.join(posix.dirname(map), source)),
    );
    expect(sources.filter((source) => !files.includes(source))).toEqual([]);
  });
});

/** Whether a bundled module consists only of imports and exports, so that none of its lines has a source. */
function onlyPassesOn(code: string): boolean {
  return code.split('\n').every((line) => /^(import .*|export \{.*\}( from ".*")?;|)$/.test(line));
}

/** Names of the packages that a module imports, without imports of its own files. */
function importsOf(code: string): string[] {
  const specifiers = parse(code)[0].flatMap(({ specifier }) => specifier ?? []);
  return specifiers.filter((specifier) => !specifier.startsWith('.')).map(packageOf);
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
