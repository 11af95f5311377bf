import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultOptimizer, parameterCount, parseModel, resolveModel } from '@lockstep/nn';
import { maxCpuMemoryBytes, openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { expectRefused } from '../../../apps/coordinator/test/processes.ts';
import { nodePlatform, systemMemoryBytes } from '../../train/src/node-platform.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { createRun } from '../src/create-run.ts';
import { memoryFault, memoryNeed } from '../src/memory-need.ts';
import { prepareArguments } from './prepare-arguments.ts';

const folder = temporaryFolder();
const tiny = await tinyArgs(folder);
/** About 784 x units + units x units x 1 and so on parameters. */
const wide = (name: string, ...units: number[]) => ({
  ...{ name, input: [784] },
  layers: [...units, 10].map((of) => ({ type: 'dense', units: of })),
});
const sizes = { microbatchSize: 32, microbatches: 4, workers: 2, threads: 1 } as const;
const unlimited = Number.POSITIVE_INFINITY;

describe('the memory that a run needs', () => {
  it('is that of vectors as long as the parameters, and of activations', () => {
    const model = parseModel({ name: 'linear', input: [784], layers: [{ type: 'dense', units: 100 }] });
    const vector = 4 * 78_500;
    const activations = 4 * 32 * 784;
    const sgd = memoryNeed({ ...sizes, model, optimizer: defaultOptimizer('sgd') });
    // The numerics check needs more than a step.
    expect(sgd.coordinatorBytes).toBe(2 * vector + activations);
    expect(sgd.machineBytes).toBe(3 * vector + activations + 2 * (4 * vector + activations));
    const adam = memoryNeed({ ...sizes, model, optimizer: defaultOptimizer('adam') });
    expect(adam.coordinatorBytes).toBe(4 * vector);
    const single = memoryNeed({ ...sizes, workers: 'single', model, optimizer: defaultOptimizer('sgd') });
    expect(single.coordinatorBytes).toBe(3 * vector + activations);
    expect(single.machineBytes).toBe(4 * vector + activations);
    // One copy of the weights, and a sum and activations for each thread that has a microbatch.
    for (const threads of [3, 8]) {
      const many = memoryNeed({ ...sizes, workers: 'single', threads, model, optimizer: defaultOptimizer('sgd') });
      expect(many.coordinatorBytes).toBe(2 * vector + Math.min(threads, 4) * (vector + activations));
    }
  });

  it('includes that of its own computer if the coordinator takes part', () => {
    const model = parseModel({ name: 'linear', input: [784], layers: [{ type: 'dense', units: 100 }] });
    const options = { ...sizes, threads: 3, model, optimizer: defaultOptimizer('sgd') };
    const single = memoryNeed({ ...options, workers: 'single' });
    const beside = memoryNeed({ ...options, colocate: true });
    const workersAlone = memoryNeed(options);
    expect(beside.coordinatorBytes).toBe(single.coordinatorBytes);
    const others = workersAlone.machineBytes - workersAlone.coordinatorBytes;
    expect(beside.machineBytes).toBe(single.coordinatorBytes + others);
  });

  it('of one process is less than what its backend takes', async () => {
    writeFileSync(join(folder, 'large.json'), JSON.stringify(wide('large', 1_500, 1_000)));
    const prepared = await prepareArguments([
      ...[...tiny, '--single', '--threads', '1', '--optimizer', 'sgd', '--steps', '3'],
      ...['--model', join(folder, 'large.json')],
    ]);
    const { backend } = await openBackend('cpu');
    const created = await createRun({ prepared, platform: nodePlatform, backend, startWorkers: 1 });
    await created.startInlineWorker();
    expect(await created.run.outcome).toEqual({ type: 'finished' });
    const { model, optimizer, plan } = prepared;
    const taken = backend.view(backend.allocate(1)).buffer.byteLength;
    const need = { ...sizes, workers: 'single', model, optimizer, microbatches: plan.microbatches } as const;
    // One of those vectors is for evaluations, which do not happen here.
    const evaluated = 4 * parameterCount(model);
    const { coordinatorBytes } = memoryNeed({ ...need, microbatchSize: plan.microbatchSize });
    expect(coordinatorBytes - evaluated).toBeLessThanOrEqual(taken);
    expect(coordinatorBytes - evaluated).toBeGreaterThan(taken / 2);
  });

  it('is less than what a run takes, and more than a third of it', async () => {
    writeFileSync(join(folder, 'large.json'), JSON.stringify(wide('large', 1_500, 1_000)));
    const prepared = await prepareArguments([...tiny, '--model', join(folder, 'large.json'), '--optimizer', 'adam']);
    const { model, optimizer, plan } = prepared;
    const { backend } = await openBackend('cpu');
    const { run, parameterServer } = await createRun({ prepared, platform: nodePlatform, backend, startWorkers: 1 });
    run.stop('the test is over');
    // The address that the first gradient would get.
    parameterServer.aggregator.reserve();
    const taken = backend.view(backend.allocate(1)).buffer.byteLength;
    const { coordinatorBytes } = memoryNeed({ ...sizes, model, optimizer, microbatchSize: plan.microbatchSize });
    expect(coordinatorBytes).toBeLessThanOrEqual(taken);
    expect(coordinatorBytes).toBeGreaterThan(taken / 3);
  });
});

describe('a model', () => {
  const optimizer = defaultOptimizer('momentum');

  it('that fits is not refused', () => {
    for (const name of ['mlp', 'cnn']) {
      expect(memoryFault({ ...sizes, model: resolveModel(name), optimizer }, 64e6)).toBeUndefined();
    }
    expect(systemMemoryBytes()).toBeGreaterThan(64e6);
  });

  it('is refused if WebAssembly has too little memory, whatever the machine has', () => {
    const model = parseModel(wide('huge', 15_000, 14_500));
    // An optimizer with the most state, in a process that computes as well.
    const options = { ...sizes, model, optimizer: defaultOptimizer('adam'), workers: 'single' } as const;
    const need = memoryNeed(options);
    expect(need.coordinatorBytes).toBeGreaterThan(maxCpuMemoryBytes);
    expect(memoryFault(options, unlimited)).toMatch(
      /^expected a model that fits in memory, got 229,434,510 parameters: .* need at least 4,\d\d\d MB, and WebAssembly memory has 4,295 MB$/,
    );
  });

  it('is refused if the machine has too little memory for all processes', () => {
    const model = parseModel(wide('large', 3_000, 2_500));
    expect(memoryFault({ ...sizes, model, optimizer }, unlimited)).toBeUndefined();
    expect(memoryFault({ ...sizes, model, optimizer }, 450e6)).toMatch(
      /the coordinator and 2 workers need at least 4\d\d MB, and this machine has 450 MB$/,
    );
    expect(memoryFault({ ...sizes, workers: 'single', model, optimizer }, 190e6)).toMatch(/of this process need/);
  });

  it('of 200 million parameters ends the command with one sentence, exit code 2', async () => {
    const file = join(folder, 'huge.json');
    writeFileSync(file, JSON.stringify(wide('huge', 15_000, 14_500)));
    const args = ['start', ...tiny, '--model', file, '--optimizer', 'adam', '--single', '--threads', '1'];
    const message = /^lockstep: --model .*huge\.json: expected a model that fits in memory, [^\n]+\n$/;
    await expectRefused('coordinator', args, message);
  });
});
