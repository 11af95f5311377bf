/** A tab on the page: what a person sees and does there, and what must not happen meanwhile. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import type { RunAddresses } from './run.ts';

/** Time limit of one wait, on a machine that is busy with other tests. */
const waitMs = 150_000;

/** Messages of at least this size carry gradients. */
const gradientBytes = 100_000;

export interface LayoutShift {
  readonly score: number;
  readonly nodes: readonly string[];
}

declare const window: { layoutShifts: LayoutShift[] };

export async function openTab(context: BrowserContext, run: RunAddresses, url: string): Promise<Tab> {
  const page = await context.newPage();
  page.setDefaultTimeout(waitMs);
  const tab = new Tab(page, run);
  const note = (error: string): void => {
    // The browser reports each attempt to reconnect.
    const isReconnect = /^WebSocket connection to .* failed|^Firefox .* connection to the server at ws/.test(error);
    if (!isReconnect) tab.errors.push(error);
  };
  page.on('pageerror', ({ message }) => note(message));
  page.on('console', (message) => {
    if (message.type() === 'error') note(message.text());
  });
  context.on('request', (request) => {
    const { host, protocol } = new URL(request.url());
    const isOwn = host === new URL(url).host || protocol === 'blob:' || protocol === 'data:';
    if (!isOwn) tab.foreignRequests.push(request.url());
  });
  await page.addInitScript(observeLayout);
  await page.goto(url);
  return tab;
}

/** Runs in the page. */
function observeLayout(): void {
  interface Entry extends PerformanceEntry {
    readonly value: number;
    readonly hadRecentInput: boolean;
    readonly sources: readonly {
      readonly node: Node | null;
      readonly previousRect: DOMRectReadOnly;
      readonly currentRect: DOMRectReadOnly;
    }[];
  }
  const placeOf = ({ x, y, width, height }: DOMRectReadOnly): string => `${x},${y} ${width}x${height}`;
  window.layoutShifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries() as Entry[]) {
      const nodes = sources.map(
        ({ node, previousRect: from, currentRect: to }) =>
          `${node?.nodeName}: ${node?.textContent?.slice(0, 60)} (from ${placeOf(from)} to ${placeOf(to)})`,
      );
      if (!hadRecentInput) window.layoutShifts.push({ score: value, nodes });
    }
  }).observe({ type: 'layout-shift', buffered: true });
}

/** Runs in a page of Firefox, whose downloads Playwright does not see: returns the next file that the page saves. */
function nextSaved(): Promise<{ readonly name: string; readonly bytes: number[] }> {
  const { click } = HTMLAnchorElement.prototype;
  return new Promise((resolve, reject) => {
    HTMLAnchorElement.prototype.click = function () {
      HTMLAnchorElement.prototype.click = click;
      click.call(this);
      const read = async () => [...new Uint8Array(await (await fetch(this.href)).arrayBuffer())];
      read().then((bytes) => resolve({ name: this.download, bytes }), reject);
    };
  });
}

/** Methods that wait fail as soon as the run has ended, and say what they waited for. */
export class Tab {
  readonly page: Page;
  /** Errors from the console, and uncaught errors. */
  readonly errors: string[] = [];
  /** Requested URLs on other hosts than the coordinator. */
  readonly foreignRequests: string[] = [];
  readonly #run: RunAddresses;

  constructor(page: Page, run: RunAddresses) {
    this.page = page;
    this.#run = run;
  }

  get #isChromium(): boolean {
    return this.page.context().browser()?.browserType().name() === 'chromium';
  }

  /** Resolves like `wait`, or rejects when the run ends. */
  async during<T>(what: string, wait: Promise<T>): Promise<T> {
    const ended = this.#run.ended.then((message) => {
      throw new Error(`expected ${what}, but the run is over: ${message}`);
    });
    return Promise.race([wait, ended]);
  }

  /** Returns layout shifts that no input caused. */
  layoutShifts(): Promise<readonly LayoutShift[]> {
    return this.page.evaluate(() => window.layoutShifts);
  }

  /** Clears the list of layout shifts, including those that the last changes cause. */
  async forgetLayoutShifts(): Promise<void> {
    await this.page.evaluate(async () => {
      // A shift is reported after the frame that shows it.
      for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
      window.layoutShifts = [];
    });
  }

  /** Waits for everything that the page loads by itself; the code for the end of a run comes last. */
  async loaded(): Promise<void> {
    const hasAll = (): boolean => {
      const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
      const asked = [...document.querySelectorAll<HTMLLinkElement>('link[rel=modulepreload]')].map(({ href }) => href);
      return loaded.some((name) => name.includes('/run-model-')) && asked.every((href) => loaded.includes(href));
    };
    await this.during('the page to be loaded', this.page.waitForFunction(hasAll));
  }

  async shows(text: string | RegExp, options: { exact?: boolean } = {}): Promise<void> {
    await this.during(`the page to show ${text}`, this.page.getByText(text, options).first().waitFor());
  }

  /** Waits for text in the panel "This tab". */
  async panelShows(text: string | RegExp): Promise<void> {
    await this.during(`the panel to show ${text}`, this.panelShowsAtEnd(text));
  }

  /** Like `panelShows`, for a run that may have ended. */
  async panelShowsAtEnd(text: string | RegExp): Promise<void> {
    await this.page.getByRole('region', { name: 'This tab' }).getByText(text).first().waitFor();
  }

  async press(name: string | RegExp): Promise<void> {
    const button = this.page.getByRole('button', { name, exact: true });
    await this.during(`a button ${name} to be pressed`, button.click());
  }

  /** Presses a button and returns the file that the browser saves. */
  async saves(button: string): Promise<{ readonly name: string; readonly bytes: Buffer }> {
    const click = (): Promise<void> => this.page.getByRole('button', { name: button, exact: true }).click();
    if (!this.#isChromium) {
      const [{ name, bytes }] = await Promise.all([this.page.evaluate(nextSaved), click()]);
      return { name, bytes: Buffer.from(bytes) };
    }
    const [download] = await Promise.all([this.page.waitForEvent('download'), click()]);
    return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
  }

  async join(backend: 'auto' | 'cpu' | 'webgpu' | 'webgl', name: string, threads?: number): Promise<void> {
    await this.page.getByLabel('Name').fill(name);
    await this.page.getByLabel('Compute on').selectOption(backend);
    if (threads !== undefined) await this.page.getByLabel('Threads').selectOption(`${threads}`);
    await this.press('Join');
  }

  /** Drops a file on the drop zone, in Chromium as a person does with the mouse. */
  async drop(path: string): Promise<void> {
    const zone = this.page.locator('.drop-zone');
    if (!this.#isChromium) {
      const dataTransfer = await this.page.evaluateHandle(
        ([name, text]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], name));
          return transfer;
        },
        [basename(path), await readFile(path, 'utf8')] as const,
      );
      await zone.dispatchEvent('drop', { dataTransfer });
      return;
    }
    await zone.scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await zone.boundingBox())!;
    const data = { items: [], files: [path], dragOperationsMask: 1 };
    const session = await this.page.context().newCDPSession(this.page);
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
      await session.send('Input.dispatchDragEvent', { type, x: x + width / 2, y: y + height / 2, data });
    }
    await session.detach();
  }

  /** Waits until the table shows this number of workers that compute. */
  async workersReady(count: number): Promise<void> {
    const ready = this.page.locator('tr.worker[data-phase=ready]');
    await this.during(`${count} workers that compute`, ready.nth(count - 1).waitFor());
  }

  /** Waits until this tab has computed at least this number of shards since it joined; resolves with the number. */
  async computed(shards: number): Promise<number> {
    const what = `the tab to compute ${shards} shards`;
    const counted = this.page.waitForFunction((least) => {
      if (document.querySelector('.join-card .pill-ended')) {
        return { ended: document.querySelector('.join-card .join-text')?.textContent ?? 'it has ended', count: 0 };
      }
      const text = document.querySelector('.join-card .figure dd')?.textContent ?? '0';
      const count = Number(text.replaceAll(',', ''));
      return count >= least ? { ended: undefined, count } : false;
    }, shards);
    const result = await (await this.during(what, counted)).jsonValue();
    if (result === false || result.ended !== undefined) {
      throw new Error(`expected ${what}, got: ${result === false ? 'nothing' : result.ended}`);
    }
    return result.count;
  }

  /**
   * Makes this tab's worker compute gradients without sending them, so that its step stays incomplete. Resolves when
   * the worker withholds the first gradient.
   */
  async withholdGradients(): Promise<void> {
    const [worker] = this.page.workers();
    if (!worker) throw new Error('expected a tab whose worker runs');
    const withheld = worker.evaluate(
      (least) =>
        new Promise<void>((resolve) => {
          const { send } = WebSocket.prototype;
          WebSocket.prototype.send = function (data) {
            if (ArrayBuffer.isView(data) && data.byteLength >= least) resolve();
            else send.call(this, data);
          };
        }),
      gradientBytes,
    );
    await this.during('the tab to withhold a gradient', withheld);
  }

  /** Reports the page as hidden, as a browser does for a tab in the background. */
  async hide(): Promise<void> {
    await this.page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
  }
}
