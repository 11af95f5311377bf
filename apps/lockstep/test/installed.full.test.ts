/** Plain npm installs the published packages into an empty project, where they work: in Node, TypeScript, and a page. */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import { findChromium, inChromium, openBuiltPage } from '@lockstep/chromium';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import {
  type Ended,
  expectSuccess,
  inNode,
  inPage,
  openInstalled,
  type Project,
  packAll,
  registryFault,
  root,
  testInstalledPage,
  workspacePackages,
} from './published.ts';

const packed = packAll(temporaryFolder());

/** A TypeScript project that uses the packages, with its settings. */
interface Consumer {
  readonly title: string;
  readonly source: string;
  readonly options: object;
}

/** Every checked module, by its import name. */
const checkedModules = [...new Set([...inNode, ...inPage])].map((name) => `@lockstep/${name}`);

/** A module whose types contain every of these packages. */
function useOf(names: readonly string[]): string {
  const imports = names.map((name, index) => `import * as module${index} from '@lockstep/${name}';\n`);
  return `${imports.join('')}const modules = { ${names.map((_, index) => `module${index}`).join(', ')} };\n`;
}

const nodeNext = { module: 'nodenext', moduleResolution: 'nodenext' };
const bundler = { module: 'esnext', moduleResolution: 'bundler' };

const consumers: readonly Consumer[] = [
  { title: 'Node, nodenext', source: useOf(inNode), options: { ...nodeNext, lib: ['ES2023'], types: ['node'] } },
  { title: 'Node, bundler', source: useOf(inNode), options: { ...bundler, lib: ['ES2023'], types: ['node'] } },
  {
    title: 'a page, bundler',
    source: useOf(inPage),
    options: { ...bundler, lib: ['ES2023', 'DOM'], types: [], customConditions: ['browser'] },
  },
  {
    title: 'a page, bundler that does not say so',
    source: useOf(inPage),
    options: { ...bundler, lib: ['ES2023', 'DOM'], types: [] },
  },
];

it('projects in TypeScript are tried with every module that a package exports', () => {
  const exported = packed.flatMap(({ name, manifest }) =>
    Object.keys(manifest.exports as object).map((path) => posix.join(name, path)),
  );
  const modules = exported.filter((module) => !module.endsWith('package.json'));
  expect(modules.sort()).toEqual([...checkedModules].sort());
});

interface Example {
  /** The packages whose READMEs contain the example. */
  readonly title: string;
  /** `js`: a module for Node. `sh`: commands, one per line. */
  readonly language: 'js' | 'sh';
  readonly code: string;
}

/** Distinct examples. @throws Error if a package has none */
function readmeExamples(): Example[] {
  const owners = new Map<string, { language: Example['language']; names: string[] }>();
  for (const { folder, manifest } of workspacePackages()) {
    if (manifest.private) continue;
    const readme = readFileSync(join(folder, 'README.md'), 'utf8');
    const found = [...readme.matchAll(/^```(js|sh)\n(.*?)^```$/gms)];
    if (found.length === 0) throw new Error(`README.md of ${manifest.name}: expected an example in js or sh, got none`);
    for (const [, language, code] of found) {
      const owner = owners.get(code!) ?? { language: language as Example['language'], names: [] };
      owner.names.push(manifest.name);
      owners.set(code!, owner);
    }
  }
  return [...owners].map(([code, { language, names }]) => ({ title: names.join(', '), language, code }));
}

interface Chunk {
  readonly code: string;
  /** Whether it loads with the page, not only on demand. */
  readonly isLoadedAtStart: boolean;
}

/** @param entry module in `root` */
async function bundle(root: string, entry: string): Promise<Chunk[]> {
  const built = await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      rolldownOptions: { input: entry, preserveEntrySignatures: 'strict' },
    },
  });
  if (!('output' in built)) throw new Error('expected one bundle, got several or none');
  const chunks = built.output.flatMap((part) => (part.type === 'chunk' ? [part] : []));
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const atStart = new Set<string>();
  const load = (fileName: string): void => {
    if (atStart.has(fileName)) return;
    atStart.add(fileName);
    for (const imported of byName.get(fileName)?.imports ?? []) load(imported);
  };
  for (const chunk of chunks) if (chunk.isEntry) load(chunk.fileName);
  return chunks.map(({ code, fileName }) => ({ code, isLoadedAtStart: atStart.has(fileName) }));
}

const fault = await registryFault();
const executablePath = findChromium();
const clone = join(root, 'apps', 'coordinator', 'dist', 'main.js');
/** Options of a short run. */
const short = ['--steps', '20', '--port', '0'];
const mostBytesOfTensor = 63_000;

const hashOf = (report: string): string =>
  (JSON.parse(readFileSync(report, 'utf8')) as { weightsSha256: string }).weightsSha256;

describe.skipIf(fault)(`installed by npm${fault === undefined ? '' : ` (skipped: ${fault})`}`, () => {
  let project: Project;

  beforeAll(async () => {
    project = await openInstalled(packed);
  });
  afterAll(() => project.close());

  /** Runs the program of `npx lockstep` directly: npx itself takes longer than most commands. */
  const program = (): string => join(project.folder, 'node_modules', '.bin', 'lockstep');
  const lockstep = (...args: string[]): Promise<Ended> => project.run(program(), args);

  it('has no package that only this repository needs, and none that only some need', () => {
    const lock = JSON.parse(readFileSync(join(project.folder, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { dev?: boolean }>;
    };
    const installed = Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, ''));
    const unwanted = ['assemblyscript', 'vite', 'preact', 'gpu.js', 'webgpu', '@tensorflow/tfjs-node', 'typescript'];
    expect(installed.filter((name) => unwanted.includes(name))).toEqual([]);
  });

  it.each(readmeExamples())('the example of $title runs', async ({ language, code }) => {
    if (language === 'js') {
      project.write('example.js', code);
      expectSuccess(await project.run('node', ['example.js']));
      return;
    }
    for (const command of code.trim().split('\n')) {
      const [program = '', ...args] = command.split(' ');
      expectSuccess(await project.run(program, [...args, ...(args.includes('start') ? short : [])]));
    }
  });

  it.each(consumers)('TypeScript takes it, with every library checked: $title', async ({ source, options }) => {
    project.write('use.ts', source);
    const compilerOptions = { strict: true, skipLibCheck: false, noEmit: true, target: 'es2022', ...options };
    project.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['use.ts'] }));
    const ended = await project.run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', '.']);
    expect(ended).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('lockstep start gives the weights of a clone, with worker processes that it finds; predict takes its model', async () => {
    const train = ['start', ...short, '--report'];
    const kept = ['installed.json', '--workers', '2', '--save', 'digits.safetensors'];
    expectSuccess(await lockstep(...train, ...kept));
    expectSuccess(await project.run('node', [clone, ...train, 'clone.json', '--single']));
    expect(hashOf(join(project.folder, 'installed.json'))).toBe(hashOf(join(project.folder, 'clone.json')));
    const picture = join(root, 'docs', 'seven.png');
    expectSuccess(await lockstep('predict', '--load', 'digits.safetensors', '--invert', picture));
  });

  it('lockstep coordinator serves the page, and lockstep worker joins it', async () => {
    const coordinator = project.start(program(), ['coordinator', '--port', '0', '--steps', '5']);
    let printed = '';
    const address = await new Promise<string>((resolve, reject) => {
      coordinator.stdout.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
        const [, url] = /^Join with: npx lockstep worker --url (ws:\S+)\n/m.exec(printed) ?? [];
        if (url !== undefined) resolve(url);
      });
      coordinator.on('close', () => reject(new Error(`expected the address to join at, got ${printed}`)));
    });
    const page = await fetch(address.replace(/^ws/, 'http'));
    expect({ status: page.status, text: await page.text() }).toMatchObject({
      status: 200,
      text: expect.stringContaining('<script type="module"'),
    });
    const ended = new Promise((resolve) => coordinator.on('close', resolve));
    expectSuccess(await lockstep('worker', '--url', address));
    expect(await ended).toBe(0);
  });

  it.each([
    { args: ['fly'], sentence: /^lockstep: expected one of the commands start, .*, got fly$/ },
    { args: ['start', '--steps', 'many'], sentence: /^lockstep: --steps: expected a whole number.*, got many$/ },
  ])('lockstep $args is one sentence and exit code 2', async ({ args, sentence }) => {
    const { code, stderr } = await lockstep(...args);
    expect({ code, stderr: stderr.trim() }).toEqual({ code: 2, stderr: expect.stringMatching(sentence) });
  });

  it('a page loads @lockstep/tensor in less than 63 KB, packed', async () => {
    project.write('size/index.js', "export * from '@lockstep/tensor';\n");
    const chunks = await bundle(join(project.folder, 'size'), 'index.js');
    const atStart = chunks.filter(({ isLoadedAtStart }) => isLoadedAtStart);
    expect(atStart.length).toBeGreaterThan(0);
    const bytes = atStart.reduce((sum, { code }) => sum + gzipSync(code).length, 0);
    expect(bytes).toBeLessThan(mostBytesOfTensor);
  });

  it.skipIf(!executablePath)(
    inChromium('a page that Vite builds computes, trains to the weights of Node, and joins a run'),
    { retry: 1 },
    () => testInstalledPage(project, openBuiltPage),
  );
});
