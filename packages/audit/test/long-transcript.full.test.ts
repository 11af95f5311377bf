/** Audits with a second transcript of a long run, whose first difference is found by bisection. */
import { beforeAll, describe, expect, it } from 'vitest';
import { audit, type Finding, type TrainOptions } from '../../train/src/index.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tiny } from '../../train/test/open-run.ts';
import { tinyData } from '../../train/test/tiny-dataset.ts';
import { decodeShards, readTranscript } from '../src/read-transcript.ts';
import { at, type ForgedRun, flipBit, forgeRun, type Lies, shiftedTargets, worker } from './recorded-run.ts';

const folder = temporaryFolder();
const { data } = tiny;

describe('a second transcript of 37,520 shards shows by at most 13 comparisons and one computed step', () => {
  const long = { ...tiny, microbatch: 2, threads: 1, epochs: 1_000, steps: 4_690 } satisfies TrainOptions;
  const rows: Readonly<Record<string, readonly [Lies, Finding]>> = {
    'one false bit': [
      { sum: at(3_210, 5, flipBit) },
      { type: 'results', step: 3_211, shards: [{ lo: 5, n: 1, worker: worker(6) }], isStateRight: false },
    ],
    'one false bit that only the momentum has at first': [
      { sum: at(6, 3, (sum) => flipBit(sum, 7, sum.length - 12)) },
      { type: 'results', step: 7, shards: [{ lo: 3, n: 1, worker: worker(4) }], isStateRight: false },
    ],
    'a doctored optimizer step': [
      { weights: (step, weights) => step === 4_444 && flipBit(weights, 0) },
      { type: 'optimizer', step: 4_445 },
    ],
    "a doctored optimizer's state": [
      { velocity: (step, velocity) => step === 99 && flipBit(velocity, 0) },
      { type: 'optimizer', step: 100 },
    ],
    'a swapped data set': [{ train: shiftedTargets(tinyData.train) }, { type: 'everyResult', step: 1 }],
  };
  let honest: ForgedRun;
  beforeAll(async () => {
    honest = await forgeRun(folder, long);
    const shards = readTranscript(honest.bytes).steps.map((step) => decodeShards(step).length);
    expect(shards.reduce((sum, count) => sum + count)).toBe(37_520);
  });
  it.each(Object.entries(rows))('%s', async (_, [told, finding]) => {
    const { bytes } = await forgeRun(folder, long, told);
    const audited = await audit(bytes, { data, against: honest.bytes, states: honest.states });
    expect(audited).toMatchObject({ finding, reachedSteps: 0, checkedSteps: 1 });
    expect(audited.comparisons).toBeLessThanOrEqual(13);
  });
});
