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

  it('throws if a shard is missing, and can be taken when it has been added', () => {
    const server = createServer();
    for (const lo of [0, 1, 3]) addMicrobatch(server, 0, lo);
    expect(() => server.step(0)).toThrow('step 0: expected every shard');
    expect(server.weights()).toEqual(initialWeights);
    addMicrobatch(server, 0, 2);
    expect(server.step(0)).toMatchObject({ step: 0, count: 8 });
  });
});

/** Kept states by the step that they precede, with the steps taken after the last of them. */
const returns: [what: string, kept: number[], to: number, beginning: boolean][] = [
  ['a kept state', [2, 4], 2, false],
  ['the newest kept state', [2, 4], 4, false],
  ['the beginning', [2], 0, false],
  ['a beginning that is made again', [2], 0, true],
];

describe.each([
  ['momentum', momentum] as const,
  ['adam', parseOptimizer({ type: 'adam', learningRate: 0.1 })] as const,
])('a parameter server with %s', (_, optimizer) => {
  it.each(returns)('that goes back to %s takes the steps again as if it had not gone on', (_what, kept, to, isMade) => {
    const beginning = () => ({ weights: initialWeights.slice() });
    const [server, undisturbed] = [
      createServer({ optimizer, ...(isMade && { beginning }) }),
      createServer({ optimizer }),
    ];
    for (let step = 0; step < 5; step++) {
      if (kept.includes(step)) server.keepState(step);
      takeSteps(server, step, step + 1);
    }
    // Half a step is dropped too.
    addMicrobatch(server, 5, 0);
    server.goBack(to);
    takeSteps(undisturbed, 0, to);
    expect([server.weights(), server.optimizerState()]).toEqual([undisturbed.weights(), undisturbed.optimizerState()]);
    for (const one of [server, undisturbed]) takeSteps(one, to, plan.steps);
    expect(server.weights()).toEqual(undisturbed.weights());
    // Again, from the same copy.
    server.goBack(to);
    takeSteps(server, to, plan.steps);
    expect(server.weights()).toEqual(undisturbed.weights());
  });
});

it('a forgotten state gives way to the beginning, from a checkpoint with its optimizer', () => {
  const before = createServer();
  takeSteps(before, 0, 2);
  const [weights, optimizerState] = [before.weights(), before.optimizerState()];
  const server = createServer({ weights, optimizerState, firstStep: 2 });
  takeSteps(server, 2, 3);
  server.keepState(3);
  server.forgetState(3);
  takeSteps(server, 3, 4);
  server.goBack(2);
  expect([server.weights(), server.optimizerState()]).toEqual([weights, optimizerState]);
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
