/** `--checkpoint` and `--resume` as a user runs them; `stopped.full.test.ts` resumes runs that were stopped. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runToReport, startCoordinator, watch } from './processes.ts';

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
