/** The folder of checkpoints, on a real file system. */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointFolder, newRunName } from '../src/checkpoint/checkpoints.ts';
import { temporaryFolder } from './folder.ts';

const root = temporaryFolder();
const earlier = '20260101000000000';
const later = '20260102030405678';

async function open(name: string): Promise<{ folder: string; store: CheckpointFolder }> {
  const folder = join(root, name);
  await mkdir(folder);
  return { folder, store: new CheckpointFolder(folder) };
}

const bytes = (value: number): Uint8Array => Uint8Array.of(value, value);
const names = async (store: CheckpointFolder): Promise<string[]> => (await store.list()).map(({ name }) => name);

describe('a checkpoint store', () => {
  it('keeps the last three of a run, the newest first, and leaves no part behind', async () => {
    const { folder, store } = await open('three');
    for (const step of [50, 100, 150, 1_000]) await store.write(later, step, bytes(step % 251));
    const expected = [1_000, 150, 100].map((step) => `checkpoint-${later}-${`${step}`.padStart(9, '0')}.safetensors`);
    expect(await names(store)).toEqual(expected);
    expect((await readdir(folder)).sort()).toEqual([...expected].sort());
    const [newest] = await store.list();
    expect(newest).toMatchObject({ run: later, step: 1_000 });
    expect([...(await newest!.read())]).toEqual([...bytes(1_000 % 251)]);
  });

  it('lists the checkpoints of an earlier run after those of a later one, and never removes them', async () => {
    const { store } = await open('two-runs');
    await store.write(earlier, 900, bytes(1));
    for (const step of [1, 2, 3, 4]) await store.write(later, step, bytes(2));
    expect((await store.list()).map(({ run, step }) => [run, step])).toEqual([
      [later, 4],
      [later, 3],
      [later, 2],
      [earlier, 900],
    ]);
  });

  it('orders steps as numbers, however many digits they have', async () => {
    const { store } = await open('digits');
    for (const step of [999_999_999, 1_000_000_000]) await store.write(later, step, bytes(1));
    expect((await store.list()).map(({ step }) => step)).toEqual([1_000_000_000, 999_999_999]);
  });

  it('ignores files of other names, and removes the part that a process of this run left', async () => {
    const { folder, store } = await open('others');
    const part = (run: string): string => `checkpoint-${run}-000000001.safetensors.part`;
    for (const name of ['notes.txt', part(earlier), part(later)]) await writeFile(join(folder, name), 'x');
    expect(await store.list()).toEqual([]);
    const name = await store.write(later, 2, bytes(1));
    expect((await readdir(folder)).sort()).toEqual([part(earlier), name, 'notes.txt']);
  });

  it.runIf(process.platform !== 'win32')('does not list a pipe, which would be read for ever', async () => {
    const { folder, store } = await open('pipe');
    execFileSync('mkfifo', [join(folder, `checkpoint-${later}-000000009.safetensors`)]);
    await store.write(later, 1, bytes(1));
    expect((await store.list()).map(({ step }) => step)).toEqual([1]);
  });

  it('throws where it cannot write, and keeps what was there', async () => {
    const { folder, store } = await open('gone');
    await store.write(later, 1, bytes(1));
    // Blocks the path of the next partial file.
    await mkdir(join(folder, `checkpoint-${later}-000000002.safetensors.part`));
    await expect(store.write(later, 2, bytes(1))).rejects.toThrow('EISDIR');
    expect((await store.list()).map(({ step }) => step)).toEqual([1]);
    await rm(folder, { recursive: true });
    await expect(store.write(later, 3, bytes(1))).rejects.toThrow('ENOENT');
  });
});

describe('the name of a new run', () => {
  it('is its time, and follows that of every run before, even where the clock went back', async () => {
    const { store } = await open('clock');
    const now = new Date('2026-01-02T03:04:05.678Z');
    expect(newRunName([], now)).toBe(later);
    await store.write(earlier, 1, bytes(1));
    expect(newRunName(await store.list(), now)).toBe(later);
    await store.write('20270101000000999', 1, bytes(1));
    expect(newRunName(await store.list(), now)).toBe('20270101000001000');
  });
});
