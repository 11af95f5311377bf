/**
 * A real Chromium for tests and measurements: opens a page that Vite builds or develops, served on localhost.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build, createServer as createDevelopmentServer } from 'vite';

export { findChromium, findFirefox, inChromium, inFirefox } from './find.ts';

/**
 * Parts of Chromium that pages do without. The flag replaces Playwright's, so it repeats those of Playwright's that pages
 * in tests may meet. The popups of the address bar are pages themselves, and a spare renderer is started for each page:
 * together they take more processor time than most pages under test.
 */
const disabledFeatures = [
  ...['WebUIOmniboxPopup', 'WebUIOmniboxAimPopup', 'SpareRendererForSitePerProcess'],
  ...['AvoidUnnecessaryBeforeUnloadCheckSync', 'DestroyProfileOnBrowserClose', 'HttpsUpgrades'],
  ...['HttpsFirstBalancedModeAutoEnable', 'LensOverlay', 'MediaRouter', 'PaintHolding'],
  ...['ThirdPartyStoragePartitioning', 'AvoidCorsURLLoaderRestartOnRedirect', 'OptimizationHints'],
  ...['NetworkTimeServiceQuerying', 'AimEnabled', 'PreconnectToSearch'],
];

/**
 * Flags of Chromium in tests and measurements: no window, no background requests, and WebGL and WebGPU on SwiftShader,
 * which every machine has. Pages are painted without the GPU: in SwiftShader, painting would take longer than all else.
 */
export const browserFlags: readonly string[] = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--ignore-gpu-blocklist',
  '--disable-gpu-compositing',
  '--disable-gpu-rasterization',
  `--disable-features=${disabledFeatures.join(',')}`,
];

export interface BrowserPageOptions {
  /** Folder with `index.html` and the files that it loads. */
  readonly root: string;
  readonly executablePath: string;
}

export interface OpenPage {
  readonly page: Page;
  /** Messages of the page's uncaught errors so far. */
  readonly errors: readonly string[];
  /** Stops the browser and the server, and removes the build. */
  close(): Promise<void>;
}

/** Long enough for a browser on a busy machine. */
const timeoutMs = 150_000;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

/** Isolates a page from other sites, so that its threads can share memory. */
const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
} as const;

/** Bundles and minifies the page as for release. If the build or opening the page fails, throws and cleans up. */
export async function openBuiltPage({ root, executablePath }: BrowserPageOptions): Promise<OpenPage> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-page-'));
  const server = createHttpServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    readFile(join(folder, path === '/' ? 'index.html' : path)).then(
      (content) => {
        for (const [name, value] of Object.entries(isolation)) response.setHeader(name, value);
        response.setHeader('content-type', types[extname(path)] ?? 'text/html').end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  const stop = async (): Promise<void> => {
    if (server.listening) {
      server.close();
      server.closeAllConnections();
    }
    await rm(folder, { recursive: true, force: true });
  };
  return openServed(executablePath, stop, async () => {
    await build({
      root,
      configFile: false,
      logLevel: 'error',
      base: './',
      build: { outDir: folder, emptyOutDir: true, minify: true, target: 'es2022', chunkSizeWarningLimit: 10_000 },
      worker: { format: 'es' },
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return (server.address() as AddressInfo).port;
  });
}

/**
 * Opens the page from Vite's development server, which sends modules one by one.
 * @param exclude packages whose modules are sent as they are, without bundling them beforehand
 */
export async function openDevelopmentPage(
  { root, executablePath }: BrowserPageOptions,
  exclude: string[] = [],
): Promise<OpenPage> {
  const cacheDir = await mkdtemp(join(tmpdir(), 'lockstep-vite-'));
  const server = await createDevelopmentServer({
    root,
    cacheDir,
    configFile: false,
    logLevel: 'error',
    optimizeDeps: { exclude },
    server: { host: '127.0.0.1', port: 0, headers: isolation, hmr: false, watch: null },
  });
  const stop = async (): Promise<void> => {
    await server.close();
    await rm(cacheDir, { recursive: true, force: true });
  };
  return openServed(executablePath, stop, async () => {
    await server.listen();
    return (server.httpServer!.address() as AddressInfo).port;
  });
}

/** @param serve resolves with the page's port @param stop stops the server, whether or not it has started */
async function openServed(
  executablePath: string,
  stop: () => Promise<void>,
  serve: () => Promise<number>,
): Promise<OpenPage> {
  let browser: Browser | undefined;
  const close = async (): Promise<void> => {
    await browser?.close();
    await stop();
  };
  try {
    const port = await serve();
    browser = await chromium.launch({ executablePath, args: [...browserFlags], timeout: timeoutMs });
    const page = await browser.newPage();
    page.setDefaultTimeout(timeoutMs);
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`http://localhost:${port}/`);
    return { page, errors, close };
  } catch (error) {
    await close();
    throw error;
  }
}
