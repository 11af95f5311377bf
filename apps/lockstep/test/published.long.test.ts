/** Slow tests of an installed project: pages under Vite's development server, and a project made by `npm create`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type BrowserPageOptions,
  findChromium,
  inChromium,
  type OpenPage,
  openBuiltPage,
  openDevelopmentPage,
} from '@lockstep/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { expectSuccess, openInstalled, type Project, packAll, registryFault, testInstalledPage } from './published.ts';

const fault = await registryFault();

describe.skipIf(fault)(`installed by npm${fault === undefined ? '' : ` (skipped: ${fault})`}`, () => {
  let project: Project;

  beforeAll(async () => {
    project = await openInstalled(packAll(temporaryFolder()));
  });
  afterAll(() => project.close());

  it('npm create lockstep makes a project of four files that trains', async () => {
    project.write('new/.keep', '');
    expectSuccess(await project.run('npm', ['create', 'lockstep', 'digits'], 'new'));
    const files = ['README.md', 'model.json', 'package.json', 'train.js'];
    expect(readdirSync(join(project.folder, 'new', 'digits')).sort()).toEqual(files);
    expectSuccess(await project.run('npm', ['install'], 'new/digits'));
    const ended = await project.run('npm', ['start'], 'new/digits');
    expectSuccess(ended);
    const [, accuracy = ''] = /epoch 2: test accuracy (\S+) %/.exec(ended.stdout) ?? [];
    expect(Number(accuracy)).toBeGreaterThan(90);
    expect(readdirSync(join(project.folder, 'new', 'digits'))).toContain('model.safetensors');
  });

  it.skipIf(!findChromium())(
    inChromium('npm create lockstep makes a page that Vite builds, and that trains'),
    async () => {
      project.write('new/.keep', '');
      const created = await project.run('npm', ['create', 'lockstep', 'my-page', '--', '--template', 'page'], 'new');
      expectSuccess(created);
      const root = join(project.folder, 'new', 'my-page');
      expect(readdirSync(root).sort()).toEqual(['README.md', 'index.html', 'main.js', 'package.json']);
      expectSuccess(await project.run('npm', ['install'], 'new/my-page'));
      expectSuccess(await project.run('npm', ['run', 'build'], 'new/my-page'));
      expect(readdirSync(join(root, 'dist')).sort()).toEqual(['assets', 'index.html']);
      const { page, errors, close } = await openBuiltPage({ root, executablePath: findChromium()! });
      try {
        await page.getByText(/^Epoch 100: test accuracy (100|9\d)\.\d\d %, after \d+ steps in [\d.]+ s$/).waitFor();
        expect(errors).toEqual([]);
      } finally {
        await close();
      }
    },
  );

  it.skipIf(!findChromium()).each<[how: string, open: (page: BrowserPageOptions) => Promise<OpenPage>]>([
    ['develops', openDevelopmentPage],
    // README's advice for older releases of Vite.
    [
      'develops without bundling our packages',
      (page) => openDevelopmentPage(page, ['@lockstep/train', '@lockstep/worker']),
    ],
  ])(inChromium('a page that Vite %s computes, trains to the weights of Node, and joins a run'), (_, open) =>
    testInstalledPage(project, open),
  );
});
