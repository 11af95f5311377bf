import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, lstatSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { numberedClasses, readModelFile, readSafetensors, resolveModel } from '@lockstep/nn';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { expectRefused, readReport, runInside, runToReport, startCoordinator } from './processes.ts';

const folder = temporaryFolder();
const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const place = (name: string): string => join(folder, name);
let tiny: string[] = [];

beforeAll(async () => {
  tiny = [...(await tinyArgs(folder)), '--single', '--threads', '1', '--steps', '2'];
});

describe('--addresses', () => {
  it('keeps the secrets of a run out of what is printed', async () => {
    const listening = [...(await tinyArgs(folder)), '--steps', '2', '--workers', '1', '--port', '0'];
    const secret = ['--token', 'secret-of-the-run', '--addresses', place('addresses')];
    const { code, stdout, stderr } = await startCoordinator('coordinator', [...listening, ...secret]).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const written = readFileSync(place('addresses'), 'utf8');
    const [, adminToken] = /^Dashboard: \S*#admin=([\w-]+)/m.exec(written)!;
    expect(written).toMatch(/^Join with: LOCKSTEP_TOKEN=secret-of-the-run /m);
    expect(stdout).toContain(place('addresses'));
    for (const text of [adminToken!, 'secret-of-the-run', 'Join']) expect(stdout).not.toContain(text);
  });
});

describe.runIf(process.platform === 'linux')('a file that cannot be written at the end', () => {
  it('does not take the report with it', async () => {
    const files = ['--save', '/dev/full', '--report', place('r.json')];
    const ended = await runInside('coordinator', ['start', ...tiny, ...files]);
    const stderr = 'lockstep: could not write /dev/full: no space left on the disk\n';
    expect(ended).toMatchObject({ code: 1, stderr });
    expect(readReport(place('r.json'))).toMatchObject({ steps: 2, exactness: 'bit-exact' });
  });

  it('does not take the model with it, and each is one sentence', async () => {
    const saved = await runInside('coordinator', ['start', ...tiny, '--save', place('model'), '--report', '/dev/full']);
    expect(saved).toMatchObject({ code: 1, stderr: expect.stringMatching(/^lockstep: [^\n]+\n$/) });
    expect(readModelFile(resolveModel('mlp'), readFileSync(place('model')))).toHaveLength(101_770);
    const neither = await startCoordinator('start', [...tiny, '--save', '/dev/full', '--report', '/dev/full']).ended;
    expect(neither.code).toBe(1);
    expect(neither.stderr).toMatch(/^(lockstep: could not write \/dev\/full: [^\n]+\n){2}$/);
  });

  it('is reported if its folder was removed during the run', async () => {
    mkdirSync(place('gone'));
    const args = ['--save', place('gone/model'), '--report', place('kept.json'), '--epochs', '100000'];
    const program = startCoordinator('start', [...tiny.slice(0, -2), ...args]);
    await program.printed(/epoch 1\//);
    rmSync(place('gone'), { recursive: true });
    program.kill('SIGINT');
    const { code, stderr } = await program.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(/could not write .*gone\/model: cannot use the folder .*: no such file or folder/);
    expect(existsSync(place('kept.json'))).toBe(true);
  });
});

it.runIf(existsSync('/dev/full'))('a full disk under what is printed ends no run, and is one sentence', async () => {
  const report = place('printed.json');
  const full = openSync('/dev/full', 'w');
  const args = [program, 'start', ...tiny, '--report', report];
  const ended = spawnSync(process.execPath, args, { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  expect({ code: ended.status, stderr: ended.stderr.toString() }).toEqual({
    code: 1,
    stderr: 'lockstep: could not write the output: no space left on the disk\n',
  });
  expect(readReport(report).steps).toBe(2);
});

it('--save writes layers, classes, samples and origin into the metadata', async () => {
  const { report } = await runToReport(folder, [...tiny, '--seed', '7', '--save', place('m.safetensors')]);
  const { metadata } = readSafetensors(readFileSync(place('m.safetensors')));
  expect(metadata).toEqual({
    format: 'pt',
    model: JSON.stringify(resolveModel('mlp')),
    classes: JSON.stringify(numberedClasses(10)),
    sampleShape: '[28,28,1]',
    scaling: '{"type":"byte","divisor":255}',
    lockstep: report.lockstep,
    seed: '7',
    steps: '2',
    weightsSha256: report.weightsSha256,
  });
});

describe.runIf(process.platform !== 'win32')('a special file', () => {
  it('is written through: devices stay, and pipes pass the report on', async () => {
    execFileSync('mkfifo', [place('pipe')]);
    const reader = promisify(execFile)('cat', [place('pipe')]);
    const ended = await runInside('coordinator', ['start', ...tiny, '--save', '/dev/null', '--report', place('pipe')]);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
    expect(JSON.parse((await reader).stdout)).toMatchObject({ steps: 2 });
  });

  it('that is the standard output gets the report between what is printed', async () => {
    const { code, stdout } = await startCoordinator('start', [...tiny, '--report', '/dev/stdout']).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Training mlp/m);
    const report = stdout.slice(stdout.indexOf('\n{\n'), stdout.indexOf('\nreport written'));
    expect(JSON.parse(report)).toMatchObject({ steps: 2 });
  });

  it('is no input', async () => {
    execFileSync('mkfifo', [place('model.json')]);
    const isPipe = ': .*: expected a regular file, got a named pipe\n$';
    const model = ['start', ...tiny, '--model', place('model.json')];
    await expectRefused('coordinator', model, new RegExp(`^lockstep: --model${isPipe}`));
    const tls = ['coordinator', '--tls-cert', place('model.json'), '--tls-key', place('model.json')];
    await expectRefused('coordinator', tls, new RegExp(`^lockstep: --tls-cert${isPipe}`));
  });
});
