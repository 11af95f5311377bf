/** A coordinator that is killed goes on from its checkpoints, and the model is the one of a run that nothing disturbed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { randomStream } from '@lockstep/tensor';
import type { Report } from '@lockstep/train';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { openStepWitness } from '../../../packages/train/test/step-witness.ts';
import { openViewer } from '../../../packages/train/test/test-viewer.ts';
import { type Program, readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

/** In memory where there is such a folder: how many steps a busy disk costs is not the question here. */
const folder = temporaryFolder(existsSync('/dev/shm') ? '/dev/shm' : undefined);
/** Into the second epoch, so that the first one's evaluation is before or after a kill. */
const steps = 600;
const every = 50;
/** How often the coordinator is killed, and what chooses the moments; more of both may be tried by hand. */
const kills = Number(process.env['LOCKSTEP_TEST_KILLS'] ?? 3);
const seed = Number(process.env['LOCKSTEP_TEST_SEED'] ?? 1);

/** Begins the run when both workers are there. */
async function begin(program: Program, port: number): Promise<void> {
  const [, token = ''] = await program.printed(/#admin=([\w-]+)/);
  const viewer = await openViewer(`ws://127.0.0.1:${port}`);
  await viewer.next('workers', ({ workers }) => workers.filter(({ phase }) => phase === 'ready').length === 2);
  viewer.send({ type: 'admin', action: 'start', token });
}

/** What does not depend on time. */
function figuresOf({ epochs, curve, weightsSha256, steps: taken, initialLoss, exactness }: Report) {
  return {
    weightsSha256,
    initialLoss,
    exactness,
    steps: taken,
    epochs: epochs.map(({ seconds: _seconds, imagesPerSecond: _rate, ...epoch }) => epoch),
    curve: curve.map(({ seconds: _seconds, ...point }) => point),
  };
}

it(`kill -9 of the coordinator at ${kills} random moments: same model, few steps again, and workers come back`, async () => {
  const { report: expected } = await runToReport(folder, ['--single', '--steps', `${steps}`]);
  const port = await freePort();
  const url = `ws://127.0.0.1:${port}`;
  const file = join(folder, 'resumed.json');
  const args = ['--port', `${port}`, '--steps', `${steps}`, '--wait-for-start', '--report', file];
  const checkpoints = ['--checkpoint', join(folder, 'checkpoints'), '--checkpoint-every', `${every}`];
  const random = randomStream(seed);
  const moments = Array.from({ length: kills }, () => Math.floor((steps - every) * random())).sort((a, b) => a - b);

  let program = startCoordinator('coordinator', [...args, ...checkpoints]);
  await program.printed(/--url ws:/);
  const witness = await openStepWitness(url);
  const worker = startWorker(['--url', url, '--name', 'faithful']);
  const again: number[] = [];
  for (const moment of moments) {
    await begin(program, port);
    await witness.reached(moment);
    program.kill('SIGKILL');
    await program.ended;
    program = startCoordinator('coordinator', [...args, ...checkpoints, '--resume']);
    const [, resumedAt] = await program.printed(/^(?:Resumed from .*, after step (\d+) of|No checkpoint in )/m);
    // The last result may have completed its step.
    again.push(witness.lastStep() + 1 - Number(resumedAt ?? 0));
  }
  await begin(program, port);

  expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
  expect((await worker.ended).code).toBe(0);
  expect(await witness.ended).toEqual({ type: 'finished', message: 'the run is finished' });
  const report = readReport(file);
  expect(figuresOf(report)).toEqual(figuresOf(expected));
  const samples = report.workers.reduce((sum, each) => sum + each.samples, 0);
  expect(samples).toBe(expected.workers[0]!.samples);
  if (process.env['LOCKSTEP_TEST_KILLS'] !== undefined) console.log({ seed, moments, again });
  for (const count of again) expect(count).toBeLessThanOrEqual(every);
  const { stderr } = await worker.ended;
  expect(stderr.match(/: back as w\d+$/gm)).toHaveLength(kills);
}, 600_000);
