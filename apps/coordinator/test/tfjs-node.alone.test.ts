import type { Report } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { absence, titled } from '../../../packages/tfjs-node/test/samples.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { runToReport, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const data = await writeFolder(folder, 'data', tinyFiles());

async function train(args: readonly string[]): Promise<Report> {
  return (await runToReport(folder, ['--data', data, '--epochs', '8', ...args])).report;
}

/** Several programs start, each of which loads a large library. */
const timeout = 180_000;

describe.skipIf(absence !== undefined)(titled('--backend tfjs-node'), { timeout }, () => {
  it('gives the same weights in one process and with workers', async () => {
    const args = ['--backend', 'tfjs-node', '--model', 'cnn', '--batch', '64'];
    const single = await train([...args, '--single']);
    expect(single.exactness).toBe('bit-exact');
    const workers = await train([...args, '--workers', '2']);
    expect(workers.weightsSha256).toBe(single.weightsSha256);
    expect(workers.exactness).toBe('bit-exact');
    expect(workers.workers.map(({ backend }) => backend)).toEqual(['tfjs-node', 'tfjs-node']);
  });
});

describe.runIf(absence !== undefined)('--backend tfjs-node without the library', () => {
  it('ends with one line, for a worker and in one process', async () => {
    const worker = startWorker(['--url', 'ws://127.0.0.1:9', '--backend', 'tfjs-node']);
    const { code, stderr } = await worker.ended;
    // A busy machine takes longer than a second to open the backend, and says so.
    const sentence = stderr.replace(/^worker \S+: opening tfjs-node, .*\n/, '');
    expect({ code, sentence }).toEqual({ code: 2, sentence: `worker: --backend tfjs-node: ${absence}\n` });
    const single = startCoordinator('start', ['--single', '--steps', '1', '--backend', 'tfjs-node']);
    expect(await single.ended).toMatchObject({ code: 2, stderr: `lockstep: --backend tfjs-node: ${absence}\n` });
  });
});
