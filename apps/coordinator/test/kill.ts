/** Runs whose workers or whose coordinator are killed, for any options that the weights depend on. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream } from '@lockstep/tensor';
import { audit, type Report } from '@lockstep/train';
import { expect, onTestFinished } from 'vitest';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { openViewer, type TestViewer } from '../../../packages/server/test/test-viewer.ts';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { openStepWitness } from '../../../packages/train/test/step-witness.ts';
import { type Program, readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

/**
 * Runs three workers and kills one with `kill -9` at each of these steps; with `replaced`, another takes its place. The
 * moment within the step is random.
 * @returns the SHA-256 of the weights
 */
export async function killWorkers(
  args: readonly string[],
  atSteps: readonly number[],
  { replaced = false, first = 0 } = {},
): Promise<string> {
  const workers: Program[] = [];
  const start = (url: string): void => {
    workers.push(startWorker(['--url', url, '--name', `w${workers.length}`]));
  };
  const server = await openServer({
    args,
    startWorkers: 3,
    onStep({ step }) {
      const kill = atSteps.indexOf(step);
      if (kill < 0) return;
      workers[(first + kill) % workers.length]!.kill('SIGKILL');
      if (replaced) start(server.ws);
    },
  });
  for (let index = 0; index < 3; index++) start(server.ws);
  expect(await server.run.outcome).toEqual({ type: 'finished' });
  const report = server.report();
  expect(report.faults.disconnects).toBe(atSteps.length);
  expect(report.exactness).toBe('bit-exact');
  if (!replaced) expect(report.workers).toHaveLength(3);
  await server.close();
  await Promise.all(workers.map((worker) => worker.ended));
  return report.weightsSha256;
}

/** Writes a text of 300 words, and returns its path. */
export function writeProse(folder: string): string {
  const words = ['the whale', 'a sailor', 'sees', 'and', 'the sea', 'was white', '.\n'];
  const file = join(folder, 'prose.txt');
  writeFileSync(file, Array.from({ length: 300 }, (_, index) => words[(index * index) % words.length]).join(' '));
  return file;
}

/** Longer than one epoch, so that a kill may come before or after an evaluation. */
const steps = 600;
const every = 50;

/** Begins the run once both workers have joined, and returns the viewer that begins it. */
async function begin(program: Program, port: number): Promise<TestViewer> {
  const [, token = ''] = await program.printed(/#admin=([\w-]+)/);
  const viewer = await openViewer(`ws://127.0.0.1:${port}`);
  await viewer.next('workers', ({ workers }) => workers.filter(({ phase }) => phase === 'ready').length === 2);
  viewer.send({ type: 'admin', action: 'start', token });
  return viewer;
}

/** The figures of a report that do not depend on time. */
function figuresOf({ epochs, samples, curve, weightsSha256, steps: taken, initialLoss, exactness }: Report) {
  return {
    samples,
    weightsSha256,
    initialLoss,
    exactness,
    steps: taken,
    epochs: epochs.map(({ seconds: _seconds, imagesPerSecond: _rate, ...epoch }) => epoch),
    curve: curve.map(({ seconds: _seconds, ...point }) => point),
  };
}

/**
 * Kills the coordinator with `kill -9` at random moments, and checks that the model equals that of an undisturbed run,
 * that few steps are repeated, that workers come back, and that the transcript of all its lives is exact.
 */
export async function killCoordinator({
  seed,
  kills,
  options,
}: {
  readonly seed: number;
  readonly kills: number;
  /** Further options. Steps must take milliseconds: the bound on repeated steps assumes that a write takes few of them. */
  readonly options: readonly string[];
}): Promise<void> {
  // In memory if possible: the cost of a busy disk is not under test here.
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'lockstep-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { report: expected } = await runToReport(folder, ['--single', '--steps', `${steps}`, ...options]);
  const port = await freePort();
  const url = `ws://127.0.0.1:${port}`;
  const file = join(folder, 'resumed.json');
  const transcript = join(folder, 'transcript');
  const files = ['--report', file, '--transcript', transcript];
  const args = ['--port', `${port}`, '--steps', `${steps}`, '--wait-for-start', ...files, ...options];
  const checkpoints = ['--checkpoint', join(folder, 'checkpoints'), '--checkpoint-every', `${every}`];
  const random = randomStream(seed);
  const moments = Array.from({ length: kills }, () => Math.floor((steps - every) * random())).sort((a, b) => a - b);

  let program = startCoordinator('coordinator', [...args, ...checkpoints]);
  await program.printed(/--url ws:/);
  const witness = await openStepWitness(url);
  const worker = startWorker(['--url', url, '--name', 'faithful']);
  const again: number[] = [];
  for (const moment of moments) {
    const viewer = await begin(program, port);
    // A viewer hears of steps now and then; the witness hears of each, but may be too slow to get a share.
    await Promise.race([witness.reached(moment), viewer.next('progress', ({ step }) => step >= moment)]);
    program.kill('SIGKILL');
    await program.ended;
    program = startCoordinator('coordinator', [...args, ...checkpoints, '--resume']);
    const [, resumedAt] = await program.printed(/^(?:Resumed from .*, after step (\d+) of|No checkpoint in )/m);
    // The last result may have completed its step.
    const shown = viewer.received.map((message) => (message.type === 'progress' ? message.step : 0));
    again.push(Math.max(witness.lastStep() + 1, ...shown) - Number(resumedAt ?? 0));
  }
  await begin(program, port);

  expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
  expect((await worker.ended).code).toBe(0);
  // A worker that was cut for a late result may come back when the run is over.
  if (witness.wasLate()) await witness.leave();
  else expect(await witness.ended).toEqual({ type: 'finished', message: 'the run has finished' });
  const report = readReport(file);
  expect(figuresOf(report)).toEqual(figuresOf(expected));
  const samples = report.workers.reduce((sum, each) => sum + each.samples, 0);
  expect(samples).toBe(expected.workers[0]!.samples);
  for (const count of again) expect(count, `seed ${seed}`).toBeLessThanOrEqual(every);
  const { weightsSha256 } = expected;
  const data = options[options.indexOf('--data') + 1];
  const given = { data: options.includes('--data') ? data : undefined, weightsSha256 };
  expect(await audit(readFileSync(transcript), given)).toMatchObject({ isRight: true, checkedSteps: steps });
  const { stderr } = await worker.ended;
  expect(stderr.match(/: rejoined as w\d+$/gm)).toHaveLength(kills);
  expect(stderr).toMatch(/: the run has finished$/m);
}
