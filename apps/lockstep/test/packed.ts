/** The published packages, packed as for a release. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createPackageFromTarballData, type Package } from '@arethetypeswrong/core';

export const root = fileURLToPath(new URL('../../../', import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly type?: string;
  readonly exports?: unknown;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export interface PackedPackage {
  readonly name: string;
  /** The manifest in the tarball. */
  readonly manifest: Manifest;
  readonly tarball: Uint8Array<ArrayBuffer>;
  readonly contents: Package;
  /** Paths in the package, such as `dist/index.js`. */
  readonly files: readonly string[];
  /** Returns the text of one of `files`. */
  read(file: string): string;
}

/** The workspace's manifests, each with its folder. */
export function workspacePackages(): { readonly folder: string; readonly manifest: Manifest }[] {
  const folders = ['packages', 'apps'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(root, group, name)),
  );
  return folders.map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest,
  }));
}

/** Packs every package that is not private into `folder`, as pnpm would publish it. */
export function packAll(folder: string): PackedPackage[] {
  const names = workspacePackages().flatMap(({ manifest }) => (manifest.private ? [] : [manifest.name]));
  const pnpm = join(root, '.tools', 'node_modules', '.bin', 'pnpm');
  const filters = names.flatMap((name) => ['--filter', name]);
  execFileSync(pnpm, [...filters, 'pack', '--pack-destination', folder], { cwd: root, stdio: 'pipe' });
  return readdirSync(folder)
    .filter((file) => file.endsWith('.tgz'))
    .map((file) => openTarball(new Uint8Array(readFileSync(join(folder, file)))));
}

function openTarball(tarball: Uint8Array<ArrayBuffer>): PackedPackage {
  const contents = createPackageFromTarballData(tarball);
  const prefix = `/node_modules/${contents.packageName}/`;
  const read = (file: string): string => contents.readFile(`${prefix}${file}`);
  return {
    name: contents.packageName,
    manifest: JSON.parse(read('package.json')) as Manifest,
    tarball,
    contents,
    files: contents.listFiles(prefix).map((path) => path.slice(prefix.length)),
    read,
  };
}
