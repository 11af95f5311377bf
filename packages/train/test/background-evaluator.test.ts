import { setImmediate as nextTurn } from 'node:timers/promises';
import { classTargets, samplesOf } from '@lockstep/data';
import { createEvaluator, type Evaluator, initialize, resolveModel } from '@lockstep/nn';
import { openBackend } from '@lockstep/tensor';
import { afterEach, describe, expect, it } from 'vitest';
import { BackgroundEvaluator } from '../src/node-platform.ts';

const model = resolveModel('mlp');
const count = 1_100;
const pixels = Uint8Array.from({ length: count * 784 }, (_, index) => (index * 7_919) % 251);
const data = {
  samples: samplesOf(pixels, [784]),
  count,
  targets: classTargets(
    Uint16Array.from({ length: count }, (_, index) => index % 10),
    [],
  ),
};
const { backend } = await openBackend('cpu');
const inline = (): Evaluator => createEvaluator(backend, model, data);
const refused = (reason: string): Evaluator => {
  throw new Error(`evaluated in this thread: ${reason}`);
};
const weights = [1, 2].map((seed) => initialize(model, seed));

let evaluator: BackgroundEvaluator | undefined;
const open = (name: string, createInline: (reason: string) => Evaluator, threads = 1): BackgroundEvaluator => {
  evaluator = new BackgroundEvaluator({ backend: name, threads, model, data }, createInline);
  return evaluator;
};
afterEach(() => evaluator?.dispose());

describe('a background evaluator', () => {
  it.each([1, 2])(
    'gives on %i threads the bits of an evaluation in this thread, for each set of weights',
    async (threads) => {
      const [here, there] = [inline(), open('cpu', refused, threads)];
      for (const each of weights) {
        expect(await there.evaluate(each, nextTurn)).toEqual(await here.evaluate(each, nextTurn));
      }
    },
  );

  it('leaves other events their turn: the event loop goes round while it evaluates', async () => {
    let turns = 0;
    const evaluation = open('cpu', refused).evaluate(weights[0]!, nextTurn);
    let isDone = false;
    void evaluation.then(() => {
      isDone = true;
    });
    while (!isDone) {
      await nextTurn();
      turns += 1;
    }
    expect(turns).toBeGreaterThan(1);
  });

  it('rejects as its pause does, and evaluates again afterwards', async () => {
    const there = open('cpu', refused);
    const pause = () => Promise.reject(new Error('the run was cut off'));
    await expect(there.evaluate(weights[0]!, pause)).rejects.toThrow('the run was cut off');
    expect(await there.evaluate(weights[0]!, nextTurn)).toEqual(await inline().evaluate(weights[0]!, nextTurn));
  });

  it('evaluates in this thread if the other one fails, and says why', async () => {
    const expected = await inline().evaluate(weights[0]!, nextTurn);
    const reasons: string[] = [];
    const there = open('no such backend', (reason) => {
      reasons.push(reason);
      return inline();
    });
    expect(await there.evaluate(weights[0]!, nextTurn)).toEqual(expected);
    expect(reasons).toEqual(['expected one of cpu, reference, got no such backend']);
  });
});
