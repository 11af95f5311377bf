/** Values of any size are learned without an option, and predicted in their own unit. */
import { datasetFromTable, parseDelimited } from '@lockstep/data/readers';
import { randomStream } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { loadModel, train } from '../src/index.ts';

const random = randomStream(5);
const rows = Array.from({ length: 200 }, () => {
  const rooms = 1 + Math.floor(6 * random());
  const area = 20 + 18 * rooms + 40 * random();
  return `${rooms}\t${area}\t${40_000 + 2600 * area + 15_000 * rooms}`;
});
const bytes = new TextEncoder().encode(`rooms\tarea\tprice\n${rows.join('\n')}\n`);
const data = datasetFromTable(parseDelimited(bytes, 'prices.tsv'), { task: 'regression', label: 'price' });

describe('a table whose values are hundreds of thousands', () => {
  it('is learned with the defaults, and the model gives and is measured in their unit', async () => {
    const result = await train({ data }).result;
    const { report } = result;
    const { testR2, testRmse, testLoss } = report.epochs.at(-1)!;
    expect(testR2).toBeGreaterThan(0.98);
    const { targets, samples, count } = data.test;
    if (targets.type !== 'values') throw new Error('expected values');
    const { mean, deviation } = targets.standardization!;
    expect(report.config.data.standardization).toEqual({ mean, deviation });
    expect(testRmse).toBeCloseTo(Math.sqrt(testLoss) * deviation, 6);

    const model = await loadModel(result.modelFile());
    result.model.dispose();
    const given = targets.values.map((value) => value * deviation + mean);
    const predicted = await model.predictValues(samples);
    const squares = predicted.reduce((sum, [value], index) => sum + (value! - given[index]!) ** 2, 0);
    expect(Math.sqrt(squares / count) / testRmse!).toBeCloseTo(1, 3);
    // Values in the user's unit are evaluated like those that the reader standardized.
    const inUnits = await model.evaluate({ samples, count, targets: { type: 'values', values: given } });
    const standardized = await model.evaluate(data.test);
    expect(standardized.rmse).toBe(testRmse);
    expect(inUnits.rmse! / testRmse!).toBeCloseTo(1, 3);
    expect(inUnits.r2).toBeCloseTo(testR2!, 4);
    model.dispose();
  });
});
