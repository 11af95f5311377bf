/** Process settings of a local worker, seen from outside while it waits for an address to join. */
import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { LocalWork } from '../src/local-worker.ts';

const witness = fileURLToPath(new URL('./collection-witness.mjs', import.meta.url));
const localWorker = fileURLToPath(new URL('../dist/local-worker.js', import.meta.url));

const running = new Set<ChildProcess>();

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

/** Starts the program; yields its messages: first that it is ready, then the witness's findings. */
function start(program: string) {
  const work: LocalWork = { name: 'local-1', backend: 'cpu', threads: 1, vectors: 'auto' };
  const child = fork(program, [JSON.stringify(work)], {
    execArgv: ['--import', pathToFileURL(witness).href],
    stdio: 'pipe',
  });
  running.add(child);
  const messages = on(child, 'message', { close: ['exit'] });
  return async (): Promise<unknown> => (await messages.next()).value?.[0];
}

async function collectionsOf(program: string) {
  const next = start(program);
  expect(await next()).toBe('ready');
  return (await next()) as { readonly collections: number; readonly incremental: number };
}

describe('a local worker', () => {
  it('marks nothing incrementally, as a program without the flag does', async () => {
    const [worker, plain] = await Promise.all([localWorker, witness].map(collectionsOf));
    expect(plain!.incremental).toBeGreaterThan(0);
    expect(worker!.collections).toBeGreaterThan(0);
    expect(worker!.incremental).toBe(0);
  });
});
