import { type OptimizerConfig, parseOptimizer } from '@lockstep/nn';
import { planRun, usedMicrobatches } from '@lockstep/rules';
import { describe, expect, it, onTestFinished } from 'vitest';
import { optimizer as momentum } from '../../sim/test/support.ts';
import { ParameterServer } from '../src/parameter-server.ts';
import { addSum, hostBackend } from './support.ts';

const backend = await hostBackend();
/** Two steps per epoch: four microbatches of two samples, then three. */
const plan = planRun({ samples: 14, batch: 8, microbatchSize: 2, epochs: 3 });
const sgd: OptimizerConfig = parseOptimizer({ type: 'sgd', learningRate: 0.5 });
const initialWeights = Float32Array.of(1, -2, 0.25, 4);

function createServer(options: Partial<ConstructorParameters<typeof ParameterServer>[0]> = {}): ParameterServer {
  const server = new ParameterServer({ backend, plan, weights: initialWeights, optimizer: momentum, ...options });
  onTestFinished(() => server.dispose());
  return server;
}

function addMicrobatch({ aggregator }: ParameterServer, step: number, lo: number): void {
  const gradient = Float32Array.from(initialWeights, (_, index) => Math.sin(9 * step + lo + index) * 10 ** (index - 2));
  const bytes = new Uint8Array(gradient.buffer);
  expect(addSum(aggregator, { lo, n: 1 }, { bytes, lossSum: 1, correct: 0 })).toBe(true);
}

/** Takes steps `from .. to - 1`. */
function takeSteps(server: ParameterServer, from: number, to: number): void {
  for (let step = from; step < to; step++) {
    for (let lo = 0; lo < usedMicrobatches(plan, step); lo++) addMicrobatch(server, step, lo);
    server.step(step);
  }
}

describe('a step', () => {
  it('moves the weights by the mean gradient of the samples, and reports their mean loss', () => {
    const server = createServer({ optimizer: sgd });
    const bytes = new Uint8Array(Float32Array.of(8, -16, 0, 4).buffer);
    addSum(server.aggregator, { lo: 0, n: 4 }, { bytes, lossSum: 4, correct: 6 });
    expect(server.step(0)).toEqual({ step: 0, epoch: 0, count: 8, loss: 0.5, correct: 6 });
    expect(server.weights()).toEqual(Float32Array.of(1 - 0.5, -2 + 1, 0.25, 4 - 0.25));
  });

  it('divides by the number of samples of a short batch', () => {
    const server = createServer({ optimizer: sgd, firstStep: 3 });
    const bytes = new Uint8Array(Float32Array.of(6, 0, 0, 0).buffer);
    addSum(server.aggregator, { lo: 0, n: 4 }, { bytes, lossSum: 3, correct: 1 });
    expect(server.step(3)).toEqual({ step: 3, epoch: 1, count: 6, loss: 0.5, correct: 1 });
    expect(server.weights()[0]).toBe(1 - 0.5);
  });

  it('throws where a shard is missing, and can be taken when it has been added', () => {
    const server = createServer();
    for (const lo of [0, 1, 3]) addMicrobatch(server, 0, lo);
    expect(() => server.step(0)).toThrow('step 0: expected every shard');
    expect(server.weights()).toEqual(initialWeights);
    addMicrobatch(server, 0, 2);
    expect(server.step(0)).toMatchObject({ step: 0, count: 8 });
  });
});

describe('the weights of a parameter server', () => {
  it('go on from a checkpoint as they do without a break', () => {
    const before = createServer();
    takeSteps(before, 0, 3);
    const [weights, optimizerState] = [before.weights(), before.optimizerState()];
    const after = createServer({ weights, optimizerState, firstStep: 3 });
    takeSteps(before, 3, plan.steps);
    takeSteps(after, 3, plan.steps);
    expect(after.weights()).toEqual(before.weights());
  });

  it('are given out as little-endian float32', () => {
    const server = createServer();
    const bytes = server.weightBytes();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    expect([...initialWeights].map((_, index) => view.getFloat32(4 * index, true))).toEqual([...initialWeights]);
    expect(bytes.byteLength).toBe(4 * server.parameterCount);
  });
});
