import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { canListProcesses, readReport, savedWeightsSha256, startCoordinator } from './processes.ts';

const folder = temporaryFolder();

it('start without options trains MNIST to 97 % or better with two worker processes', async () => {
  const [file, model] = [join(folder, 'report.json'), join(folder, 'model.safetensors')];
  const program = startCoordinator('start', ['--report', file, '--save', model]);
  const { code, stdout, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  if (canListProcesses) expect(program.offspring()).toEqual([]);

  const report = readReport(file);
  expect(report.model).toEqual({ name: 'mlp', parameters: 101_770 });
  expect(Math.abs(report.initialLoss! - 2.3)).toBeLessThan(0.05);
  expect(report.epochs).toHaveLength(report.config.epochs);
  expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(0.97);
  expect(report.workers).toHaveLength(2);
  for (const worker of report.workers) {
    expect(worker).toMatchObject({ kind: 'node', name: expect.stringMatching(/^local-[12]$/) });
    expect(worker.shards).toBeGreaterThan(0);
    expect(worker.computeMs).toBeGreaterThan(0);
  }
  const samples = report.workers.reduce((sum, worker) => sum + worker.samples, 0);
  expect(samples).toBe(report.config.epochs * 60_000);
  expect(report).toMatchObject({ exactness: 'bit-exact', numericMode: 'f32-mul-add.v1', bitExactAmong: null });
  // On a busy machine a shard may be taken from a worker that is late.
  expect(report.faults).toMatchObject({ rejected: 0, disconnects: 0, quarantined: 0 });
  // At least the weights of each step one way, and most of the gradient of each shard the other way: blocks of zeros,
  // from pixels that are black in all samples, are not sent. A worker that is slow for a while gets no shard in some
  // steps.
  expect(report.wire.bytesSent).toBeGreaterThan(report.steps * 4 * 101_770);
  const shards = report.workers.reduce((sum, worker) => sum + worker.shards, 0);
  expect(shards).toBeGreaterThanOrEqual(report.steps);
  expect(report.wire.bytesReceived).toBeGreaterThan(shards * 2 * 101_770);
  expect(report.weightsSha256).toBe(savedWeightsSha256(model));

  expect(stdout).toMatch(/^Training mlp, 101,770 parameters: \d+ epochs? of 60,000 images, batch 128, momentum/);
  expect(stdout).toMatch(/^Join with: npm run worker -- --url ws:\/\/127\.0\.0\.1:\d+$/m);
  expect(stdout.match(/^ {2}epoch \d+\/\d+ {3}train loss/gm)).toHaveLength(report.config.epochs);
  expect(stdout).toMatch(/^Test accuracy \d\d\.\d\d % \(10,000 images\)$/m);
}, 240_000);
