/** Signals to coordinators and workers: during a run, before it, and while nobody watches them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import {
  canListProcesses,
  type Program,
  readReport,
  runToReport,
  savedWeightsSha256,
  startCoordinator,
  startInTerminal,
  startWorker,
} from './processes.ts';

const folder = temporaryFolder();
const tiny = [...(await tinyArgs(folder)), '--epochs', '1000000'];
/** A run that never ends by itself. */
const endless = [...tiny, '--port', '0'];

const interrupted = 'lockstep: the coordinator was interrupted\n';

describe('an interrupted coordinator', () => {
  it('prints how to save the model next time', async () => {
    const program = startCoordinator('start', [...endless, '--single']);
    await program.printed(/^ {2}epoch 1\/1000000 /m);
    program.kill('SIGINT');
    const { code, stdout, stderr } = await program.ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: interrupted });
    expect(stdout).toMatch(/^the model after step [\d,]+ was not saved; use --save FILE\.safetensors to keep it$/m);
  });

  it.each([true, false])('ends also while it waits for workers, and keeps an earlier model: %j', async (hasModel) => {
    const model = join(folder, 'earlier.safetensors');
    writeFileSync(model, 'trained');
    const program = startCoordinator('coordinator', [...endless, ...(hasModel ? ['--save', model] : [])]);
    await program.printed(/--url ws:/);
    program.kill('SIGINT');
    const { code, stdout, stderr } = await program.ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: interrupted });
    const saved = hasModel ? `no step was taken, so nothing was saved to ${model}\n` : '';
    expect(stdout).toMatch(/\n0 steps in .*\nweights .*… {2}no step was taken\n/);
    expect(stdout.endsWith(`no step was taken\n${saved}`)).toBe(true);
    expect(readFileSync(model, 'utf8')).toBe('trained');
  });
});

describe('kill -9 of the coordinator', () => {
  it.runIf(canListProcesses)('ends its local workers', async () => {
    const program = startCoordinator('start', [...endless, '--workers', '2']);
    for (const id of ['w1', 'w2']) await program.printed(new RegExp(`${id} local-\\d joined`));
    expect(program.offspring()).toHaveLength(2);
    program.kill('SIGKILL');
    await program.ended;
    await vi.waitFor(() => expect(program.offspring()).toEqual([]), { timeout: 30_000 });
  });

  it('and a new coordinator on the same port: a worker reconnects by itself', async () => {
    const port = await freePort();
    const fixed = [...tiny, '--port', `${port}`];
    const first = startCoordinator('coordinator', fixed);
    await first.printed(/--url ws:/);
    const worker = startWorker(['--url', `ws://127.0.0.1:${port}`, '--name', 'faithful']);
    await first.printed(/w1 faithful joined/);
    await first.printed(/^ {2}epoch 1\/1000000 /m);
    first.kill('SIGKILL');
    await worker.printed(/trying again/);
    await first.ended;

    const file = join(folder, 'second.json');
    const second = startCoordinator('coordinator', [...fixed, '--steps', '50', '--report', file]);
    expect(await second.ended).toMatchObject({ code: 0, stderr: '' });
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    const lines = stderr.trim().split('\n');
    // The coordinator may come back before or after an attempt that finds none.
    expect(lines.filter((line) => !line.includes('(Ctrl-C to stop)'))).toEqual([
      expect.stringMatching(/^worker faithful: joined as w1, computing on /),
      'worker faithful: the connection to the coordinator broke; trying again',
      'worker faithful: rejoined as w1',
      'worker faithful: the run has finished',
    ]);
    // At first, a new worker of a run computes single microbatches.
    const { workers, steps } = readReport(file);
    expect({ steps, names: workers.map(({ name }) => name) }).toEqual({ steps: 50, names: ['faithful'] });
    expect(workers[0]!.shards).toBeGreaterThanOrEqual(50);
  });
});

describe('an interrupted worker', () => {
  it('leaves with exit code 130, and the run ends with the same weights', async () => {
    const short = [...tiny, '--steps', '60'];
    const { report: single } = await runToReport(folder, [...short, '--single']);

    const workers: Program[] = [];
    const server = await openServer({
      args: short,
      startWorkers: 2,
      onStep: ({ step }) => {
        if (step !== 20) return;
        workers[0]!.kill('SIGINT');
        // Keeps the run from ending before the signal arrives.
        server.run.control('pause');
      },
    });
    for (const name of ['leaver', 'stayer']) workers.push(startWorker(['--url', server.ws, '--name', name]));
    await workers[0]!.ended;
    server.run.control('resume');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    const [leaver, stayer] = await Promise.all(workers.map(({ ended }) => ended));
    expect(leaver).toMatchObject({ code: 130, stdout: '' });
    expect(leaver!.stderr).toMatch(/^worker leaver: joined as w\d, [^\n]*\n$/);
    expect(stayer?.code).toBe(0);
    const report = server.report();
    expect(report.weightsSha256).toBe(single.weightsSha256);
    expect(report.faults).toMatchObject({ disconnects: 1, rejected: 0 });
    await server.close();
  });

  it('ends at once while it waits to reconnect', async () => {
    const server = await openServer({ args: tiny, startWorkers: 2 });
    const worker = startWorker(['--url', server.ws, '--name', 'waiting']);
    // Fails with the worker's output if the worker ends first.
    await worker.printed(/joined as w1/);
    await server.ready(1);
    await server.drop();
    await worker.printed(/trying again/);
    worker.kill('SIGINT');
    expect(await worker.ended).toMatchObject({ code: 130 });
  });
});

it.runIf(canListProcesses)('a coordinator whose terminal is closed keeps the model', async () => {
  const [model, reportFile] = [join(folder, 'closed.safetensors'), join(folder, 'closed.json')];
  const program = startInTerminal([...endless, '--workers', '1', '--save', model, '--report', reportFile]);
  await program.printed(/epoch +1\//);
  program.kill('SIGKILL');
  await program.ended;
  await vi.waitFor(() => expect(program.offspring()).toEqual([]), { timeout: 30_000 });
  expect(savedWeightsSha256(model)).toBe(readReport(reportFile).weightsSha256);
});

it('a run whose output is no longer read goes on to its end', async () => {
  const file = join(folder, 'unread.json');
  const program = startCoordinator('start', ['--single', '--epochs', '1', '--report', file]);
  await program.printed(/^Training /m);
  program.stopReading();
  expect(await program.ended).toMatchObject({ code: 0, stderr: '' });
  expect(readReport(file).epochs).toHaveLength(1);
});

it.runIf(canListProcesses)('a run whose local workers are told to end goes on with another worker', async () => {
  const coordinator = startCoordinator('start', [...endless, '--workers', '1', '--wait-for-start']);
  const [, url = ''] = await coordinator.printed(/--url (ws:\S+)/);
  await coordinator.printed(/w1 local-1 joined/);
  startWorker(['--url', url, '--name', 'other']);
  await coordinator.printed(/w2 other joined/);
  const [local] = coordinator.offspring();
  process.kill(local!, 'SIGTERM');
  await coordinator.printed(/worker local-1 ended \(exit code 130\)/);
  const third = startWorker(['--url', url, '--name', 'third']);
  await third.printed(/joined as w3/);
});

it('a worker that was frozen while its coordinator ended says so', async () => {
  const coordinator = startCoordinator('coordinator', endless);
  const [, url = ''] = await coordinator.printed(/--url (ws:\S+)/);
  const worker = startWorker(['--url', url, '--name', 'frozen']);
  await coordinator.printed(/w1 frozen joined/);
  worker.kill('SIGSTOP');
  coordinator.kill('SIGKILL');
  await coordinator.ended;
  worker.kill('SIGCONT');
  await worker.printed(
    /the run is over or the coordinator is down; waiting for the coordinator to return \(Ctrl-C to stop\)/,
  );
  worker.kill('SIGINT');
  expect(await worker.ended).toMatchObject({ code: 130 });
});

it('a worker that waits joins a coordinator that is started later', async () => {
  const first = startCoordinator('coordinator', endless);
  const [, url = '', port = ''] = await first.printed(/--url (ws:\S+:(\d+))/);
  first.kill('SIGKILL');
  await first.ended;
  const worker = startWorker(['--url', url, '--name', 'early', '--wait']);
  await worker.printed(/connection refused\); waiting for it \(Ctrl-C to stop\)/);
  const second = startCoordinator('coordinator', [...tiny, '--port', port, '--steps', '5']);
  expect(await second.ended).toMatchObject({ code: 0 });
  expect(await worker.ended).toMatchObject({ code: 0 });
});
