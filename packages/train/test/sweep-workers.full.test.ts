/** Sweeps on worker processes, which stay from run to run. */
import { describe, expect, it } from 'vitest';
import { type SweepRow, sweep, type TrainOptions, train } from '../src/index.ts';
import { tiny } from './open-run.ts';

const alone = async (options: TrainOptions): Promise<string> => (await train(options).result).report.weightsSha256;
const finiteLoss = ({ test: { loss } }: SweepRow): number => (Number.isFinite(loss) ? loss : Number.NaN);

describe('a sweep', () => {
  it('keeps its workers from run to run, and compares by the monitor on validation samples', async () => {
    const joined: string[] = [];
    const options = { ...tiny, keep: 'best', monitor: 'accuracy' } as const;
    const { rows, best, measuredOn } = await sweep({
      ...{ ...options, workers: 2, threads: 1, grid: { optimizer: ['sgd', 'adam'] } },
      async onRun(run) {
        for await (const event of run) if (event.type === 'joined') joined.push(event.worker.name);
      },
    });
    expect(joined).toHaveLength(4);
    expect(new Set(joined).size).toBe(2);
    expect(rows.map(({ score }) => score)).toEqual(rows.map(({ kept }) => kept?.value));
    expect(measuredOn).toBe('validation');
    expect(best?.mean).toBe(Math.max(...rows.map(({ score }) => score!)));
    expect(rows[1]!.weightsSha256).toBe(await alone({ ...options, optimizer: 'adam' }));
  });

  it('goes on after a run that cannot, on the same workers, and compares the others', async () => {
    const joined = new Set<string>();
    const { rows, combinations, best } = await sweep({
      ...{ ...tiny, workers: 2, colocate: true, threads: 1 },
      ...{ grid: { 'optimizer.learningRate': [1e30, 0.1] }, seeds: 2 },
      async onRun(run) {
        for await (const event of run) if (event.type === 'joined') joined.add(event.worker.name);
      },
    });
    const fault = expect.stringMatching(/^step \d+: the .*is not finite/);
    expect(rows.map((row) => row.fault ?? row.test.loss)).toEqual([fault, fault, ...rows.slice(2).map(finiteLoss)]);
    expect(rows.map(({ score }) => score === null)).toEqual([true, true, false, false]);
    expect(combinations.map(({ mean }) => mean === null)).toEqual([true, false]);
    expect(best).toBe(combinations[1]);
    expect(joined.size).toBe(3);
    expect(rows[2]!.weightsSha256).toBe(await alone({ ...tiny, optimizer: { learningRate: 0.1 } }));
  });
});
