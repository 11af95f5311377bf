/** A run that is stopped in any way ends cleanly, and can be resumed. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import {
  canListProcesses,
  type Program,
  readReport,
  runToReport,
  savedWeightsSha256,
  startCoordinator,
  watch,
} from './processes.ts';

const interrupted = 'lockstep: the coordinator was interrupted\n';

const folder = temporaryFolder();
/** Two steps per epoch. */
const endless = [...(await tinyArgs(folder)), '--epochs', '1000000'];
const path = (name: string): string => join(folder, name);

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
    const { report: expected } = await runToReport(folder, [...endless, '--single', '--steps', `${steps + 7}`]);
    expect(report.weightsSha256).toBe(expected.weightsSha256);
    expect(report).toMatchObject({ steps: steps + 7, resumedAtSteps: [steps], exactness: 'bit-exact' });
    // Epochs whose evaluation was canceled by the stop are evaluated now.
    expect(report.epochs.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: Math.ceil((steps + 7) / 2) }, (_, index) => index + 1),
    );
    expect(report.epochs.length).toBeGreaterThan(epochs.length);
  });
});
