/** The folder of checkpoints, on a real file system. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CheckpointStore } from '../src/checkpoint-store.ts';

const root = await mkdtemp(join(tmpdir(), 'lockstep-checkpoints-'));
afterAll(() => rm(root, { recursive: true }));

const bytes = (value: number): Uint8Array => Uint8Array.of(value, value);
const names = async (folder: string): Promise<string[]> => (await readdir(folder)).sort();

describe('a checkpoint store', () => {
  it('keeps the last three of its run, the newest first, and leaves no part behind', async () => {
    const folder = join(root, 'made', 'anew');
    const store = new CheckpointStore(folder, new Date('2026-01-02T03:04:05Z'));
    for (const step of [50, 100, 150, 1_000]) await store.write(step, bytes(step % 251));
    expect(await names(folder)).toEqual([
      'checkpoint-20260102030405-000000100.safetensors',
      'checkpoint-20260102030405-000000150.safetensors',
      'checkpoint-20260102030405-000001000.safetensors',
    ]);
    const [newest] = await store.list();
    expect([...(await newest!.read())]).toEqual([...bytes(1_000 % 251)]);
  });

  it('lists the checkpoints of an earlier run after its own, and never removes them', async () => {
    const folder = join(root, 'two-runs');
    const earlier = new CheckpointStore(folder, new Date('2026-01-01T00:00:00Z'));
    await earlier.write(900, bytes(1));
    const later = new CheckpointStore(folder, new Date('2026-01-02T00:00:00Z'));
    for (const step of [1, 2, 3, 4]) await later.write(step, bytes(2));
    expect((await later.list()).map(({ name }) => name)).toEqual([
      'checkpoint-20260102000000-000000004.safetensors',
      'checkpoint-20260102000000-000000003.safetensors',
      'checkpoint-20260102000000-000000002.safetensors',
      'checkpoint-20260101000000-000000900.safetensors',
    ]);
  });

  it('ignores files of other names, an unfinished part among them', async () => {
    const folder = join(root, 'others');
    const store = new CheckpointStore(folder, new Date('2026-01-01T00:00:00Z'));
    await writeFile(join(folder, 'notes.txt'), 'x');
    await writeFile(join(folder, 'checkpoint-20260101000000-000000001.safetensors.part'), 'x');
    expect(await store.list()).toEqual([]);
  });

  it('throws where it cannot write, and keeps what was there', async () => {
    const folder = join(root, 'gone');
    const store = new CheckpointStore(folder, new Date('2026-01-01T00:00:00Z'));
    await rm(folder, { recursive: true });
    await expect(store.write(1, bytes(1))).rejects.toThrow('ENOENT');
  });
});
