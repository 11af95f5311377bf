/** Several runs in a row: the grid, seeds and folds, each run with the weights that it has alone, and the best of them. */
import { describe, expect, it } from 'vitest';
import { ConfigurationError, openDataset, sweep, type TrainOptions, train } from '../src/index.ts';
import { tiny } from './open-run.ts';

const iris = await openDataset(new URL('../../../docs/iris.csv', import.meta.url).pathname);
const grid = { 'optimizer.learningRate': [0.001, 0.1], batch: [16, 32] };
const alone = async (options: TrainOptions): Promise<string> => (await train(options).result).report.weightsSha256;

describe('a sweep', () => {
  it('multiplies its values and seeds, and gives each run the weights that it has alone', async () => {
    const { rows, combinations, best, monitor, measuredOn } = await sweep({ ...tiny, grid, seeds: 2 });
    const tried = [0.001, 0.1].flatMap((rate) =>
      [16, 32].flatMap((batch) => [1, 2].map((seed) => [rate, batch, seed])),
    );
    expect(rows.map(({ values, seed }) => [...Object.values(values), seed])).toEqual(tried);
    for (const { values, seed, weightsSha256 } of [rows[1]!, rows[6]!]) {
      const optimizer = { type: 'momentum', learningRate: values['optimizer.learningRate'] as number } as const;
      expect(weightsSha256).toBe(await alone({ ...tiny, optimizer, batch: values['batch'] as number, seed }));
    }
    expect([monitor, measuredOn]).toEqual(['loss', 'test']);
    expect(combinations).toHaveLength(4);
    const { mean, deviation, runs } = combinations[0]!;
    const [one, other] = rows.map(({ test }) => test.loss) as [number, number];
    expect([mean, deviation, runs]).toEqual([
      expect.closeTo((one + other) / 2),
      expect.closeTo(Math.abs(one - other) / 2),
      2,
    ]);
    const means = combinations.map((each) => each.mean!);
    expect(best).toBe(combinations[means.indexOf(Math.min(...means))]);
  });

  it('tests on each fold of all samples once', async () => {
    const sizes: unknown[] = [];
    const { rows, combinations } = await sweep({
      ...{ data: iris, batch: 16, epochs: 2, folds: 4 },
      async onRun(run) {
        for await (const event of run) {
          if (event.type === 'prepared') sizes.push([event.config.samples, event.config.testSamples]);
        }
      },
    });
    expect(sizes).toEqual([
      [112, 38],
      [112, 38],
      [113, 37],
      [113, 37],
    ]);
    expect(rows.map(({ fold, seed }) => [fold, seed])).toEqual([1, 2, 3, 4].map((fold) => [fold, 1]));
    expect(combinations).toMatchObject([{ values: {}, runs: 4, deviation: expect.any(Number) }]);
  });

  it('that is stopped has the runs up to then', async () => {
    const stop = new AbortController();
    const { rows } = await sweep({
      ...{ ...tiny, seeds: 3, signal: stop.signal },
      onRun(_run, { number }) {
        if (number === 2) stop.abort();
      },
    });
    expect(rows.map(({ seed }) => seed)).toEqual([1]);
  });

  it.each<[object, string]>([
    [{ grid: { 'optimizer.learningRate': [0.1, -1] } }, 'optimizer.learningRate: expected a number above 0, got -1'],
    [{ grid: { batch: 16 } }, 'batch: expected a list of values, got 16'],
    [{ grid: { batch: [16, 1_000_000] } }, 'batch: expected'],
    [{ grid: { model: ['mlp', 'gpt'] } }, 'model: '],
    [{ data: iris, folds: 151 }, 'folds: expected a whole number from 2 to 150, the number of samples, got 151'],
    [{ folds: 1 }, 'folds: expected a whole number from 2 to 1000, got 1'],
    [{ data: 'upload' }, 'data: expected data that are there at the start of a sweep, got upload'],
  ])('of %j is refused before its first run', async (options, message) => {
    let runs = 0;
    const refused = sweep({ ...tiny, onRun: () => void runs++, ...options });
    await expect(refused).rejects.toThrow(ConfigurationError);
    await expect(refused).rejects.toThrow(message);
    expect(runs).toBe(0);
  });
});
