/** Contenders that compute in a page of a real browser: Node takes the rounds, the page takes the time. */
import { fileURLToPath } from 'node:url';
import type { OpenPage } from '@lockstep/chromium';
import type { Absent, Contender } from '../contender.ts';
import type { MnistStep } from '../work/mnist-step.ts';
import type { PageBench, PageContenderName, PageWork } from './page-contract.ts';
import { packageVersion } from './version.ts';

declare const pageBench: PageBench;

const root = fileURLToPath(new URL('../../page/', import.meta.url));

/** A page that is opened with its first contender. */
export interface SharedPage {
  openGradient(work: MnistStep, name: PageContenderName): Promise<Contender | Absent>;
  close(): Promise<void>;
}

export function sharedPage(): SharedPage {
  let opening: Promise<OpenPage> | undefined;
  return {
    async openGradient(work, name) {
      // Loaded on demand: it brings a bundler that no other question needs.
      const { findChromium, openBuiltPage } = await import('@lockstep/chromium');
      const executablePath = findChromium();
      if (executablePath === undefined) return { absent: 'no Chromium was found; set CHROME_PATH to the path of one' };
      opening ??= openBuiltPage({ root, executablePath });
      return openInPage(await opening, work, name);
    },
    async close() {
      await (await opening?.catch(() => undefined))?.close();
      opening = undefined;
    },
  };
}

/** The gradient of the mean loss at the initial parameters, read back at every step. */
async function openInPage(
  { page, errors }: OpenPage,
  work: MnistStep,
  name: PageContenderName,
): Promise<Contender | Absent> {
  const opened = await page.evaluate(([asked, given]) => pageBench.open(asked, given), [name, pageWork(work)] as const);
  if ('absent' in opened) return opened;
  return {
    version: opened.version ?? (await packageVersion('@lockstep/tensor')),
    notes: opened.notes,
    reset: () => page.evaluate((asked) => pageBench.reset(asked), name),
    async run(steps) {
      const ms = await page.evaluate(([asked, count]) => pageBench.run(asked, count), [name, steps] as const);
      if (errors.length > 0) throw new Error(errors.join('; '));
      return ms;
    },
    async result() {
      const base64 = await page.evaluate((asked) => pageBench.result(asked), name);
      return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
    },
    close: () => page.evaluate((asked) => pageBench.close(asked), name),
  };
}

function pageWork({ batchSize, batches, initial }: MnistStep): PageWork {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    batchSize,
    initial: base64(new Uint8Array(initial.buffer, initial.byteOffset, initial.byteLength)),
    batches: batches.map(({ pixels, labels }) => ({ pixels: base64(pixels), labels: base64(labels) })),
  };
}
