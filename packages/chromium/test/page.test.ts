/** Building, serving, opening and removing a page. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findChromium, inChromium, openBuiltPage } from '../src/index.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-chromium-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const executablePath = findChromium();

describe.skipIf(!executablePath)(inChromium('a built page'), { timeout: 300_000 }, () => {
  test('a page of TypeScript runs minified, its errors are kept, and nothing is left when it is closed', async () => {
    const root = join(folder, 'page');
    await mkdir(root);
    await writeFile(join(root, 'index.html'), '<!doctype html><script type="module" src="./page.ts"></script>');
    await writeFile(
      join(root, 'page.ts'),
      "const answer: number = [6, 7].reduce((left: number, right: number) => left * right);\nObject.assign(globalThis, { answer });\nthrow new Error('out of paper');\n",
    );
    const open = await openBuiltPage({ root, executablePath: executablePath! });
    try {
      expect(await open.page.evaluate('answer')).toBe(42);
      expect(open.errors).toEqual(['out of paper']);
      const address = open.page.url();
      const missing = await fetch(new URL('missing.js', address));
      expect(missing.status).toBe(404);
      await open.close();
      await expect(fetch(address)).rejects.toThrow();
    } finally {
      await open.close();
    }
  });

  test('a page that cannot be built is an error', async () => {
    await expect(openBuiltPage({ root: join(folder, 'nothing'), executablePath: executablePath! })).rejects.toThrow();
  });
});
