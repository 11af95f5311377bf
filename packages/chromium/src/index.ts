/**
 * A real Chromium for tests and measurements: opens a page that Vite builds or develops, served on localhost.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build, createServer, type InlineConfig, type PreviewServer, preview, type ViteDevServer } from 'vite';

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

/** Isolates a page from other sites, so that its threads can share memory. */
const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
} as const;

/** The settings of both servers: no configuration file, any free port, headers that isolate the page. */
function settingsOf(root: string) {
  const listen = { host: '127.0.0.1', port: 0, headers: isolation } as const;
  return { root, configFile: false, logLevel: 'error', server: listen, preview: listen } satisfies InlineConfig;
}

/** Bundles and minifies the page as for release. If the build or opening the page fails, throws and cleans up. */
export function openBuiltPage({ root, executablePath }: BrowserPageOptions): Promise<OpenPage> {
  return openServed(executablePath, async (outDir) => {
    const config: InlineConfig = {
      ...settingsOf(root),
      appType: 'mpa',
      base: './',
      build: { outDir, emptyOutDir: true, minify: true, target: 'es2022', chunkSizeWarningLimit: 10_000 },
      worker: { format: 'es' },
    };
    await build(config);
    return preview(config);
  });
}

/**
 * Opens the page from Vite's development server, which sends modules one by one.
 * @param exclude packages whose modules are sent as they are, without bundling them beforehand
 */
export function openDevelopmentPage(
  { root, executablePath }: BrowserPageOptions,
  exclude: string[] = [],
): Promise<OpenPage> {
  return openServed(executablePath, async (cacheDir) => {
    const settings = settingsOf(root);
    const server = { ...settings.server, hmr: false, watch: null } as const;
    return (await createServer({ ...settings, cacheDir, server, optimizeDeps: { exclude } })).listen();
  });
}

/** @param serve starts a server of the page; its files are in the folder, which is removed when the page is closed */
async function openServed(
  executablePath: string,
  serve: (folder: string) => Promise<PreviewServer | ViteDevServer>,
): Promise<OpenPage> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-page-'));
  let server: PreviewServer | ViteDevServer | undefined;
  let browser: Browser | undefined;
  const close = async (): Promise<void> => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    server = await serve(folder);
    const { port } = server.httpServer!.address() as AddressInfo;
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
