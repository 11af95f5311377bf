/** `kill -9` in more kinds of runs than in `kill.test.ts`; `fleet.full.test.ts` kills a coordinator that has a standby. */
import { join } from 'node:path';
import { train } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openRun } from '../../../packages/train/test/open-run.ts';
import { killCoordinator, killWorkers, writeProse } from './kill.ts';
import { canListProcesses, readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const weightsOf = async (args: readonly string[]): Promise<string> =>
  (await runToReport(folder, ['--single', ...args])).report.weightsSha256;
const prose = writeProse(folder);

describe('kill -9', () => {
  it.each<[recipe: string, args: readonly string[], atSteps: readonly number[], replaced: boolean]>([
    ['rounded sums', ['--steps', '12', '--gradients', 'fp16-exact'], [5], false],
    ['rounds of replicas', ['--replicas', '8', '--inner-steps', '25', '--steps', '12'], [2, 7], true],
  ])('of workers changes no bit: %s', async (_recipe, args, atSteps, replaced) => {
    expect(await killWorkers(args, atSteps, { replaced })).toBe(await weightsOf(args));
  });

  it.skipIf(!canListProcesses)(
    'of all workers leaves a coordinator that computes to go on alone, with the same bits',
    async () => {
      const options = ['--steps', '200', '--batch', '256'];
      const file = join(folder, 'colocated.json');
      const all = ['--port', '0', '--report', file, '--colocate', '--workers', '2', ...options];
      const run = startCoordinator('start', all);
      // The run begins with all three workers.
      for (const id of ['w1', 'w2', 'w3']) await run.printed(new RegExp(`${id} \\S+ joined`));
      for (const pid of run.offspring()) process.kill(pid, 'SIGKILL');
      const { code, stdout, stderr } = await run.ended;
      expect(code).toBe(0);
      expect(`${stdout}${stderr}`.match(/worker local-\d ended \(killed\)/g)).toHaveLength(2);
      const report = readReport(file);
      expect(report.weightsSha256).toBe(await weightsOf(options));
      expect(report.faults.disconnects).toBe(2);
    },
  );

  it('of one of three workers, whose place another takes, changes neither weights nor texts of a text run', async () => {
    const asked = { data: prose, model: 'gpt-nano', batch: 12, steps: 60, sampleEvery: 15, prompt: 'the ' } as const;
    const workers: ReturnType<typeof startWorker>[] = [];
    const { run, url } = await openRun({
      ...asked,
      expect: 3,
      onStep({ step }) {
        if (step !== 20) return;
        workers[0]!.kill('SIGKILL');
        run.pause();
        start();
      },
    });
    const start = (): void => void workers.push(startWorker(['--url', url, '--name', `w${workers.length}`]));
    for (let index = 0; index < 3; index++) start();
    for await (const event of run) if (event.type === 'joined' && event.worker.name === 'w3') run.resume();
    const { report } = await run.result;
    const { report: expected } = await train(asked).result;
    expect(report.weightsSha256).toBe(expected.weightsSha256);
    expect(report.samples).toEqual(expected.samples);
    expect(report.samples).toHaveLength(4);
    expect(report.faults.disconnects).toBe(1);
    expect(report.workers.find(({ name }) => name === 'w3')?.shards).toBeGreaterThan(0);
    await Promise.all(workers.map((worker) => worker.ended));
  });

  it('of the coordinator at two moments: same model, few steps again, and workers come back', async () => {
    await killCoordinator({ seed: 1, kills: 2, options: ['--augment', 'shift', '--batch', '512'] });
  });
});
