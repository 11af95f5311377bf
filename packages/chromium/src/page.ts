/** Builds a page, serves it on localhost and opens it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';

/** Chromium in tests and measurements: without a window or background requests; WebGL and WebGPU on SwiftShader, which every machine has. */
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
];

export interface PageOptions {
  /** Folder of `index.html` and what it loads. */
  readonly root: string;
  readonly executablePath: string;
}

export interface OpenPage {
  readonly page: Page;
  /** Messages of the errors that the page has not caught, so far. */
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

/** Bundles and minifies the page as for release. Where that or opening it fails, throws and leaves nothing behind. */
export async function openBuiltPage({ root, executablePath }: PageOptions): Promise<OpenPage> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-page-'));
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    readFile(join(folder, path === '/' ? 'index.html' : path)).then(
      (content) => {
        // Isolated from other sites, so that its threads can share memory.
        response.setHeader('cross-origin-opener-policy', 'same-origin');
        response.setHeader('cross-origin-embedder-policy', 'require-corp');
        response.setHeader('content-type', types[extname(path)] ?? 'text/html').end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  let browser: Browser | undefined;
  const close = async (): Promise<void> => {
    await browser?.close();
    if (server.listening) {
      server.close();
      server.closeAllConnections();
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
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
    browser = await chromium.launch({ executablePath, args: [...browserFlags], timeout: timeoutMs });
    const page = await browser.newPage();
    page.setDefaultTimeout(timeoutMs);
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    return { page, errors, close };
  } catch (error) {
    await close();
    throw error;
  }
}
