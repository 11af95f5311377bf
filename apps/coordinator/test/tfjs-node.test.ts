import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTensorFlow, prepareProcess } from '@lockstep/tfjs-node';
import type { Report } from '@lockstep/train';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCoordinator, startWorker } from './processes.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';

prepareProcess();
const absence = await loadTensorFlow().then(
  () => undefined,
  (error: Error) => error.message,
);

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
  await writeFolder(folder, 'data', tinyFiles());
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function train(name: string, args: readonly string[]): Promise<Report> {
  const file = join(folder, `${name}.json`);
  const program = startCoordinator('start', [
    '--port',
    '0',
    '--report',
    file,
    '--data',
    join(folder, 'data'),
    '--epochs',
    '8',
    ...args,
  ]);
  const { code, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

const title = `--backend tfjs-node${absence === undefined ? '' : ` (${absence})`}`;
/** Several programs, each of which loads a large library, beside whatever else the machine does. */
const timeout = 180_000;

describe.skipIf(absence !== undefined)(title, { timeout }, () => {
  it('gives the same weights, whoever computes with it', async () => {
    const args = ['--backend', 'tfjs-node', '--model', 'cnn', '--batch', '64'];
    const single = await train('single', [...args, '--single']);
    expect(single.exactness).toBe('bit-exact');
    const workers = await train('workers', [...args, '--workers', '2']);
    expect(workers.weightsSha256).toBe(single.weightsSha256);
    expect(workers.exactness).toBe('bit-exact');
    expect(workers.workers.map(({ backend }) => backend)).toEqual(['tfjs-node', 'tfjs-node']);
  });
});

describe.runIf(absence !== undefined)('--backend tfjs-node where the library is missing', () => {
  it('ends with one sentence, for a worker and in one process', async () => {
    const worker = startWorker(['--url', 'ws://127.0.0.1:9', '--backend', 'tfjs-node']);
    expect(await worker.ended).toMatchObject({ code: 2, stderr: `worker: --backend tfjs-node: ${absence}\n` });
    const single = startCoordinator('start', ['--single', '--steps', '1', '--backend', 'tfjs-node']);
    expect(await single.ended).toMatchObject({ code: 2, stderr: `lockstep: --backend tfjs-node: ${absence}\n` });
  });
});
