/** A run that is stopped, and `--checkpoint` and `--resume` as a user runs them. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openViewer, type TestViewer } from '../../../packages/server/test/test-viewer.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import {
  canListProcesses,
  type Program,
  readReport,
  runToReport,
  savedWeightsSha256,
  startCoordinator,
} from './processes.ts';

const interrupted = 'lockstep: the coordinator was interrupted\n';

const folder = temporaryFolder();
/** `--data`, and a batch of half the data set. */
const tiny = await tinyArgs(folder);
const data = tiny.slice(0, 2);
/** Two steps per epoch. */
const endless = [...tiny, '--epochs', '1000000'];
const path = (name: string): string => join(folder, name);

/** Runs this number of steps, and returns the run's folder of checkpoints. */
async function runOf(name: string, steps: number, args: readonly string[] = []): Promise<string> {
  const checkpoints = path(name);
  const common = args.includes('--batch') ? data : tiny;
  await runToReport(folder, [...common, '--single', '--steps', `${steps}`, '--checkpoint', checkpoints, ...args]);
  return checkpoints;
}

const singleHash = async (steps: number): Promise<string> =>
  (await runToReport(folder, [...endless, '--single', '--steps', `${steps}`])).report.weightsSha256;

const newestOf = (checkpoints: string): string => readdirSync(checkpoints).sort().at(-1)!;

async function watch(program: Program): Promise<{ viewer: TestViewer; token: string }> {
  const [, host = '', token = ''] = await program.printed(/Dashboard: http:\/\/([^/]+)\/#admin=([\w-]+)/);
  return { viewer: await openViewer(`ws://${host}`), token };
}

const interrupt = (program: Program): void => program.kill('SIGINT');
const pressCtrlC = (program: Program): void => program.killGroup('SIGINT');

describe('a run that is stopped', () => {
  it.each<[how: string, workers: number, stop: (program: Program) => void | Promise<void>]>([
    ['SIGINT in one process', 0, interrupt],
    ['SIGINT to the coordinator alone', 1, interrupt],
    ['Ctrl-C, which its workers get as well', 2, pressCtrlC],
    [
      'two Ctrl-C',
      1,
      (program) => {
        pressCtrlC(program);
        pressCtrlC(program);
      },
    ],
    ['SIGTERM', 1, (program) => program.kill('SIGTERM')],
    [
      'the dashboard',
      1,
      async (program) => {
        const { viewer, token } = await watch(program);
        viewer.send({ type: 'admin', action: 'stop', token });
      },
    ],
  ])('by %s ends with all its workers, keeps the model, and says how to go on', async (how, workers, stop) => {
    const [checkpoints, reportFile, model] = [path(how), path(`${how}.json`), path(`${how}.safetensors`)];
    const common = [...endless, '--checkpoint', checkpoints];
    const ways = workers === 0 ? ['--single'] : ['--workers', `${workers}`];
    const port = workers === 0 ? [] : ['--port', '0'];
    const kept = ['--save', model, '--report', reportFile];
    const program = startCoordinator('start', [...common, ...ways, ...port, ...kept]);
    for (let index = 1; index <= workers; index++) await program.printed(new RegExp(`w${index} local-\\d+ joined`));
    await program.printed(/^ {2}epoch 1\/1000000 /m);
    if (canListProcesses) expect(program.offspring()).toHaveLength(workers);
    await stop(program);
    const { code, stdout, stderr } = await program.ended;
    expect(code).toBe(how === 'the dashboard' ? 0 : 130);
    if (code === 130) expect(stderr).toBe(interrupted);
    if (canListProcesses) expect(program.offspring()).toEqual([]);
    const { steps, epochs, weightsSha256 } = readReport(reportFile);
    expect(steps).toBeGreaterThan(0);
    expect(stdout).toContain(`model after step ${steps} saved to ${model}\n`);
    expect(stdout).toContain(`report written to ${reportFile}\n`);
    expect(stdout).toMatch(new RegExp(`^To resume after step ${steps}: npm start -- --data .* --resume$`, 'm'));
    expect(savedWeightsSha256(model)).toBe(weightsSha256);

    const { report, stdout: resumed } = await runToReport(folder, [
      ...common,
      // Any number of workers may resume the run.
      ...(pressCtrlC === stop ? ways : ['--single']),
      ...['--steps', `${steps + 7}`, '--resume'],
    ]);
    const [, inWords] = resumed.match(/^Resumed from .*, after step ([\d,]+) of /m) ?? [];
    expect(inWords?.replaceAll(',', '')).toBe(`${steps}`);
    expect(report.weightsSha256).toBe(await singleHash(steps + 7));
    expect(report).toMatchObject({ steps: steps + 7, resumedAtSteps: [steps], exactness: 'bit-exact' });
    // Epochs whose evaluation was canceled by the stop are evaluated now.
    expect(report.epochs.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: Math.ceil((steps + 7) / 2) }, (_, index) => index + 1),
    );
    expect(report.epochs.length).toBeGreaterThan(epochs.length);
  });
});

describe('--resume', () => {
  it('of a finished run says so and ends with the same summary', async () => {
    const args = [...tiny, '--steps', '5', '--workers', '2', '--checkpoint', path('finished')];
    const first = await runToReport(folder, args);
    const again = await runToReport(folder, [...args, '--resume']);
    expect(again.stdout).toMatch(/finished\/checkpoint-.* holds the end of this run: all steps have been taken\.$/m);
    expect(again.stdout).not.toContain('Join with');
    // Both runs use a single process.
    const { startedAt } = again.report;
    expect(again.report).toEqual({ ...first.report, stepTimes: null, startedAt });
    expect(startedAt > first.report.startedAt).toBe(true);
    const summaryOf = (stdout: string): string => stdout.slice(stdout.indexOf('\n\n')).replace(/report written.*/, '');
    expect(summaryOf(again.stdout)).toBe(summaryOf(first.stdout));
  });

  it('skips every checkpoint that does not fit, says why, and starts from the beginning if none fits', async () => {
    const checkpoints = await runOf('unfit', 6, ['--seed', '2']);
    await runOf('unfit', 6, ['--batch', '16']);
    await runOf('unfit', 6, ['--lr', '0.01']);
    const torn = await runOf('unfit', 6);
    const file = join(torn, newestOf(torn));
    writeFileSync(file, readFileSync(file).subarray(0, -1));
    const { stdout, report } = await runToReport(folder, [
      ...[...tiny, '--single', '--steps', '6'],
      ...['--checkpoint', checkpoints, '--resume'],
    ]);
    const passedOver = stdout.split('\n').filter((line) => line.startsWith('Skipped checkpoint '));
    expect(passedOver.map((line) => line.replace(/^.*?safetensors: /, ''))).toEqual([
      expect.stringMatching(/^checkpoint: expected SHA-256 .*: the file is truncated or was changed\.$/),
      'it belongs to another run: expected optimizer.learningRate 0.05, got 0.01.',
      'it belongs to another run: expected batch 32, got 16.',
      'it belongs to another run: expected seed 1, got 2.',
    ]);
    expect(stdout).toContain(`No checkpoint in ${checkpoints} fits this run; starting from the beginning.\n`);
    expect(report.resumedAtSteps).toEqual([]);
    expect(report.weightsSha256).toBe(await singleHash(6));
    // All old checkpoints, and one of the new run.
    expect(readdirSync(checkpoints)).toHaveLength(5);
  });

  it('names another seed, and not the data that it cuts in another way', async () => {
    const iris = ['--data', 'docs/iris.csv', '--single', '--steps', '2', '--checkpoint', path('seeds')];
    await runToReport(folder, [...iris, '--seed', '2']);
    const { stdout } = await runToReport(folder, [...iris, '--resume']);
    expect(stdout).toMatch(/^Skipped .*: it belongs to another run: expected seed 1, got 2\.$/m);
  });

  it('goes on from the one before a torn one, and removes neither', async () => {
    const checkpoints = await runOf('torn', 12, ['--checkpoint-every', '5']);
    const before = readdirSync(checkpoints).sort();
    const last = join(checkpoints, before.at(-1)!);
    const bytes = readFileSync(last);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(last, bytes);
    const args = [...tiny, '--single', '--steps', '40', '--epochs', '100'];
    const { stdout, report } = await runToReport(folder, [
      ...args,
      ...['--checkpoint', checkpoints, '--checkpoint-every', '5', '--resume'],
    ]);
    expect(stdout).toContain(`Skipped checkpoint ${before.at(-1)}: checkpoint: expected SHA-256`);
    expect(stdout).toContain(`Resumed from ${join(checkpoints, before.at(-2)!)}, after step `);
    expect(report.weightsSha256).toBe(await singleHash(40));
    expect(readdirSync(checkpoints)).toEqual(expect.arrayContaining(before));
  });

  it('with other --epochs goes on unless the schedule depends on them', async () => {
    const longer = (name: string, args: readonly string[]) =>
      runToReport(folder, [...tiny, '--single', '--epochs', '4', '--checkpoint', path(name), '--resume', ...args]);
    await runOf('longer', 3);
    const { report } = await longer('longer', []);
    expect(report).toMatchObject({ steps: 8, resumedAtSteps: [3], weightsSha256: await singleHash(8) });
    expect(report.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    await runOf('cosine', 3, ['--schedule', 'cosine']);
    const { stdout } = await longer('cosine', ['--schedule', 'cosine']);
    expect(stdout).toMatch(/^Skipped .*: expected optimizer\.schedule\.steps 8, got 3\.$/m);
  });

  it('reads files that hold no secret of the run', async () => {
    const checkpoints = path('secret');
    const args = [...tiny, '--workers', '2', '--token', 'open sesame', '--checkpoint', checkpoints];
    await runToReport(folder, [...args, '--steps', '4', '--checkpoint-every', '1']);
    const names = readdirSync(checkpoints);
    const files = names.filter((name) => name.endsWith('.safetensors'));
    // The join code is kept, readable only by its owner.
    expect(names.filter((name) => !files.includes(name))).toEqual(['join-code']);
    expect(statSync(join(checkpoints, 'join-code')).mode & 0o777).toBe(0o600);
    for (const name of files) {
      const text = readFileSync(join(checkpoints, name)).toString('latin1');
      expect(text).toContain('local-1');
      expect(text).not.toMatch(/sesame|resumeKey|127\.0\.0\.1/);
    }
  });

  it('has the weights of a run that was not cut off, rounded to halves', async () => {
    const args = ['--gradients', 'fp16-exact'];
    const expected = await runToReport(folder, [...endless, '--single', '--steps', '6', ...args]);
    const checkpoints = await runOf('rounded to halves', 3, args);
    const resumed = [...tiny, '--workers', '1', ...args, '--checkpoint', checkpoints, '--steps', '6', '--resume'];
    const { stdout, report } = await runToReport(folder, resumed);
    expect(stdout).toMatch(/after step 3 of 6\.$/m);
    expect(report.weightsSha256).toBe(expected.report.weightsSha256);
  });
});

it('a run without --resume says that an earlier one can go on, and leaves it there', async () => {
  const checkpoints = path('offered');
  const program = startCoordinator('start', [...endless, '--single', '--checkpoint', checkpoints]);
  await program.printed(/^ {2}epoch 1\/1000000 /m);
  program.kill('SIGINT');
  expect((await program.ended).stdout).not.toContain('was not saved');
  const cutOff = newestOf(checkpoints);
  const again = startCoordinator('start', [...endless, '--single', '--checkpoint', checkpoints]);
  await again.printed(
    new RegExp(
      `^${join(checkpoints, cutOff)} holds this run after step [\\d,]+, where it was interrupted. Start with resume to continue it`,
      'm',
    ),
  );
  await again.printed(/^ {2}epoch 1\/1000000 /m);
  again.kill('SIGINT');
  await again.ended;
  expect(readdirSync(checkpoints)).toContain(cutOff);
});

it('a folder that is gone is named once, in the terminal and on the page, and training goes on', async () => {
  const checkpoints = path('gone');
  const args = [...tiny, '--epochs', '20', '--port', '0', '--workers', '1', '--wait-for-start'];
  const program = startCoordinator('start', [...args, '--checkpoint', checkpoints, '--checkpoint-every', '2']);
  const { viewer, token } = await watch(program);
  rmSync(checkpoints, { recursive: true });
  // Since root may write into every folder, a file takes the folder's place.
  writeFileSync(checkpoints, '');
  viewer.send({ type: 'admin', action: 'start', token });
  const { message } = await viewer.next('event', ({ message: text }) => text.includes('was not written'));
  expect(message).toMatch(
    /^the checkpoint after step [\d,]+ was not written: part of its path is a file, not a folder; training continues without it$/,
  );
  const { code, stdout, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.match(/was not written/g)).toHaveLength(1);
});

it('viewers see the step from which the run resumed, and the newest checkpoint', async () => {
  const checkpoints = await runOf('watched', 4);
  const file = newestOf(checkpoints);
  const args = [...endless, '--port', '0', '--workers', '1', '--wait-for-start', '--checkpoint-every', '3'];
  const program = startCoordinator('start', [...args, '--checkpoint', checkpoints, '--resume']);
  const { viewer, token } = await watch(program);
  const resumed = { file, step: 4 };
  expect(await viewer.next('checkpoint')).toEqual({ type: 'checkpoint', resumed, newest: resumed });
  const { epochs, points } = await viewer.next('history');
  expect([...new Float32Array(points.steps.slice().buffer)]).toEqual([1, 2, 3, 4]);
  viewer.send({ type: 'admin', action: 'start', token });
  const { newest } = await viewer.next('checkpoint');
  expect(newest!.step).toBeGreaterThan(4);
  expect(readdirSync(checkpoints)).toContain(newest!.file);
  await viewer.next('epoch', ({ report }) => report.epoch === 3);
  const evaluated = viewer.received.flatMap((message) => (message.type === 'epoch' ? [message.report] : []));
  const all = [...epochs, ...evaluated].map(({ epoch }) => epoch);
  expect(all.slice(0, 3)).toEqual([1, 2, 3]);
});
