/** Plain npm installs the packages into an empty project, and they work there: in Node, TypeScript, and a page. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { findChromium, inChromium, openBuiltPage } from '@lockstep/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle } from './bundle.ts';
import { expectSuccess, openInstalled, testInstalledPage } from './installed.ts';
import { root } from './packed.ts';
import type { Project } from './project.ts';
import { readmeExamples } from './readme-examples.ts';
import { registryFault } from './registry.ts';
import { consumers } from './typescript-consumers.ts';

const fault = await registryFault();
const executablePath = findChromium();
const clone = join(root, 'apps', 'coordinator', 'dist', 'main.js');
/** Options of a short run. */
const short = ['--steps', '20', '--port', '0'];
const mostBytesOfTensor = 60_000;

const hashOf = (report: string): string =>
  (JSON.parse(readFileSync(report, 'utf8')) as { weightsSha256: string }).weightsSha256;

describe.skipIf(fault)(`installed by npm${fault === undefined ? '' : ` (skipped: ${fault})`}`, () => {
  let project: Project;

  beforeAll(async () => {
    project = await openInstalled();
  });
  afterAll(() => project.close());

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

  it('npx lockstep start gives the weights of a clone, with worker processes that it finds', async () => {
    const train = ['start', '--port', '0', '--steps', '20', '--report'];
    expectSuccess(await project.run('npx', ['lockstep', ...train, 'installed.json', '--workers', '2']));
    expectSuccess(await project.run('node', [clone, ...train, 'clone.json', '--single']));
    expect(hashOf(join(project.folder, 'installed.json'))).toBe(hashOf(join(project.folder, 'clone.json')));
  });

  it('npx lockstep coordinator serves the page, and npx lockstep worker joins it', async () => {
    const coordinator = project.start('npx', ['lockstep', 'coordinator', '--port', '0', '--steps', '5']);
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
    expectSuccess(await project.run('npx', ['lockstep', 'worker', '--url', address]));
    expect(await ended).toBe(0);
  });

  it('npx lockstep predict reads a picture', async () => {
    expectSuccess(await project.run('npx', ['lockstep', 'start', ...short, '--save', 'digits.safetensors']));
    const picture = join(root, 'docs', 'seven.png');
    const predict = ['predict', '--load', 'digits.safetensors', '--invert', picture];
    expectSuccess(await project.run('npx', ['lockstep', ...predict]));
  });

  it.each([
    { args: ['fly'], sentence: /^lockstep: expected a command of start, .*; got fly$/ },
    { args: ['start', '--steps', 'many'], sentence: /^lockstep: --steps: expected a whole number.*, got many$/ },
  ])('npx lockstep $args is one sentence and exit code 2', async ({ args, sentence }) => {
    const { code, stderr } = await project.run('npx', ['lockstep', ...args]);
    expect({ code, stderr: stderr.trim() }).toEqual({ code: 2, stderr: expect.stringMatching(sentence) });
  });

  it('a page loads @lockstep/tensor in less than 60 KB, packed', async () => {
    project.write('size/index.js', "export * from '@lockstep/tensor';\n");
    const chunks = await bundle(join(project.folder, 'size'), 'index.js');
    const atStart = chunks.filter(({ isLoadedAtStart }) => isLoadedAtStart);
    expect(atStart.length).toBeGreaterThan(0);
    const bytes = atStart.reduce((sum, { code }) => sum + gzipSync(code).length, 0);
    expect(bytes).toBeLessThan(mostBytesOfTensor);
  });

  it.skipIf(!executablePath)(
    inChromium('a page that Vite builds computes, trains to the weights of Node, and joins a run'),
    () => testInstalledPage(project, openBuiltPage),
  );
});
