/** Audits: honest runs of every kind are exact, and every kind of lie is found and named. */
import { describe, expect, it } from 'vitest';
import { type AuditOptions, audit, type Finding, type TrainOptions, train } from '../../train/src/index.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { kindsOfData } from '../../train/test/kinds-of-data.ts';
import { tiny } from '../../train/test/open-run.ts';
import { tinyData } from '../../train/test/tiny-dataset.ts';
import { readTranscript } from '../src/read-transcript.ts';
import { at, flipBit, forgeRun, type Lies, recordRun, shiftedTargets, worker } from './recorded-run.ts';

const folder = temporaryFolder();
const { data } = tiny;
/** Eight microbatches per step, each computed by another worker. */
const options = { ...tiny, microbatch: 2, threads: 1 } satisfies TrainOptions;

describe('an honest run is exact', () => {
  const runs: Readonly<Record<string, TrainOptions>> = {
    'with adamw, warm-up and clipping': {
      ...tiny,
      optimizer: { type: 'adamw', schedule: 'cosine', warmupSteps: 2, clipNorm: 1 },
    },
    'with replicas': { ...tiny, batch: 4, diloco: { replicas: 4, innerSteps: 3 } },
    'rounded to halves': { ...tiny, gradients: 'fp16-exact' },
    'with class weights and validation': { ...tiny, classWeights: 'balanced', validation: 0.25 },
    'that keeps its best epoch': { ...tiny, keep: 'best', epochs: 6 },
    'that stops early': { ...tiny, patience: 1, epochs: 40, optimizer: { type: 'sgd', learningRate: 3 } },
    'with a frozen layer': { ...tiny, freeze: 1 },
    'with augmentations': {
      model: 'cnn',
      data: kindsOfData['pictures in color'],
      augment: ['flip', 'shift'],
      steps: 3,
    },
    'on a table': { data: kindsOfData['a table with values'], model: 'mlp', steps: 20 },
    'with threads': { ...options, threads: 2 },
  };
  it.each(Object.entries(runs))('%s', async (_, run) => {
    const { bytes, result } = await recordRun(folder, run);
    const { report } = result;
    const audited = await audit(bytes, { data: run.data, weightsSha256: report.weightsSha256, threads: 2 });
    expect(audited).toMatchObject({ isRight: true, finding: undefined });
    expect(audited.sentence).toContain(report.weightsSha256.slice(0, 16));
    const { steps, plannedSteps } = readTranscript(bytes);
    expect(audited.checkedSteps).toBe(steps.length);
    expect(audited.sentence.includes('planned steps')).toBe(steps.length < plannedSteps);
  });

  it('with initial weights from a file', async () => {
    const first = await train(tiny).result;
    const initialWeights = first.modelFile();
    const { bytes } = await recordRun(folder, { ...tiny, initialWeights });
    expect(await audit(bytes, { data, initialWeights })).toMatchObject({ isRight: true });
    await expect(audit(bytes, { data })).rejects.toThrow(
      'expected the file of initial weights with which the run began',
    );
    const other = (await train({ ...tiny, seed: 2 }).result).modelFile();
    await expect(audit(bytes, { data, initialWeights: other })).rejects.toThrow('got a file with other weights');
  });

  it('that took some initial layers from another model', async () => {
    const initialWeights = (await train(tiny).result).modelFile();
    const model = {
      ...tiny.model,
      layers: [{ type: 'dense', units: 8 }, { type: 'tanh' }, { type: 'dense', units: 3 }],
    };
    const { bytes } = await recordRun(folder, {
      ...tiny,
      model: model as TrainOptions['model'],
      initialWeights,
      transfer: true,
    });
    expect(await audit(bytes, { data, initialWeights })).toMatchObject({ isRight: true });
  });

  it('that was stopped', async () => {
    const stopping = new AbortController();
    const { bytes } = await recordRun(folder, {
      ...{ ...options, epochs: 100, signal: stopping.signal },
      onStep: ({ step }) => step === 30 && stopping.abort(),
    });
    const audited = await audit(bytes, { data });
    expect(audited.sentence).toMatch(/^All 30 steps are exact, up to the weights [0-9a-f]{16}…; the run was stopped$/);
  });

  it('that went back and took steps again', async () => {
    let taken = 0;
    const { bytes } = await forgeRun(folder, options, {
      back: { from: 9, to: 4 },
      // The steps 7 to 10 are wrong until they are taken again.
      sum(_, { lo }, sum) {
        if (lo === 0) taken += 1;
        if (lo === 0 && taken > 6 && taken <= 10) flipBit(sum);
      },
    });
    const transcript = readTranscript(bytes);
    expect(transcript.backs).toEqual([{ to: 4, cause: 'rewound', steps: 18 }]);
    expect(await audit(bytes, { data })).toMatchObject({ isRight: true, checkedSteps: 18 });
  });
});

interface Row {
  readonly lies: Lies;
  readonly finding: Finding;
  readonly sentence: string;
}

const lies: Readonly<Record<string, Row>> = {
  'a worker changes one bit of one sum': {
    lies: { sum: at(6, 3, flipBit) },
    finding: {
      ...{ type: 'results', step: 7, isStateRight: false },
      shards: [{ lo: 3, n: 1, worker: worker(4) }],
    },
    sentence:
      "Step 7 is wrong: the result of w4 name 4 for microbatch 3 differs from this machine's, and the other 7 results are right",
  },
  'a worker changes what rounding hides': {
    lies: { sum: at(6, 3, (sum) => flipBit(sum, 0, 0)) },
    finding: {
      ...{ type: 'results', step: 7, isStateRight: true },
      shards: [{ lo: 3, n: 1, worker: worker(4) }],
    },
    sentence:
      "Step 7 is wrong: the result of w4 name 4 for microbatch 3 differs from this machine's, but the weights after the step do not: rounding hid it, or only the record is false",
  },
  'a worker tells a wrong loss': {
    lies: { sum: at(0, 0, (sum) => flipBit(sum, 0, sum.length - 2)) },
    finding: {
      ...{ type: 'results', step: 1, isStateRight: true },
      shards: [{ lo: 0, n: 1, worker: worker(1) }],
    },
    sentence:
      "Step 1 is wrong: the result of w1 name 1 for microbatch 0 differs from this machine's, but the weights after the step do not: rounding hid it, or only the record is false",
  },
  'two workers lie in one step': {
    lies: {
      sum(step, { lo }, sum) {
        if (step === 17 && lo > 5) flipBit(sum);
      },
    },
    finding: {
      ...{ type: 'results', step: 18, isStateRight: false },
      shards: [
        { lo: 6, n: 1, worker: worker(7) },
        { lo: 7, n: 1, worker: worker(8) },
      ],
    },
    sentence:
      "Step 18 is wrong: the result of w7 name 7 and w8 name 8 for microbatches 6, 7 differs from this machine's, and the other 6 results are right",
  },
  'the coordinator changes a weight': {
    lies: {
      weights(step, weights) {
        if (step === 4) flipBit(weights);
      },
    },
    finding: { type: 'optimizer', step: 5 },
    sentence:
      'Step 5 is wrong: all its results are right but the state after it is not, so the coordinator added the results or took the optimizer step wrongly',
  },
  'the coordinator leaves samples out': {
    lies: { recordedAs: (step, shard) => (step === 2 && shard.lo === 7 ? undefined : shard) },
    finding: { type: 'skipped', step: 3 },
    sentence:
      'Step 3 is wrong: its shards do not cover each microbatch once, so the coordinator skipped samples or used some twice',
  },
  'the coordinator uses samples twice': {
    lies: { recordedAs: (step, shard) => (step === 2 && shard.lo === 7 ? { lo: 0, n: 1 } : shard) },
    finding: { type: 'skipped', step: 3 },
    sentence:
      'Step 3 is wrong: its shards do not cover each microbatch once, so the coordinator skipped samples or used some twice',
  },
  'the run trains on other data than it claims': {
    lies: { train: shiftedTargets(tinyData.train) },
    finding: { type: 'everyResult', step: 1 },
    sentence:
      "Step 1 is wrong: the results of all its shards differ from this machine's, so the run used other samples or other weights than it claims",
  },
};

describe('a lie is found and named', () => {
  it.each(Object.entries(lies))('%s', async (_, { lies: told, finding, sentence }) => {
    const { bytes } = await forgeRun(folder, options, told);
    expect(await audit(bytes, { data })).toMatchObject({ isRight: false, finding, sentence });
  });

  it('the only worker of a run lies, or has other samples', async () => {
    const { bytes } = await forgeRun(folder, { ...options, batch: 2 }, { sum: at(1, 0, flipBit) });
    const { sentence } = await audit(bytes, { data });
    expect(sentence).toBe(
      "Step 2 is wrong: the result of w1 name 1 for microbatch 0 differs from this machine's: it is false, or the run used other samples or other weights than it claims",
    );
  });
});

describe('a second transcript', () => {
  it.each(Object.entries(lies).filter(([, { finding }]) => !('isStateRight' in finding && finding.isStateRight)))(
    'shows that %s, on either side',
    async (_, { lies: told, finding, sentence }) => {
      const [honest, lying] = [await forgeRun(folder, options), await forgeRun(folder, options, told)];
      expect(await audit(lying.bytes, { data, against: honest.bytes })).toMatchObject({ isRight: false, finding });
      const other = await audit(honest.bytes, { data, against: lying.bytes });
      expect(other).toMatchObject({ isRight: true, finding: undefined });
      expect(other.sentence).toContain(`where this transcript is right and the other one is not: ${sentence}`);
    },
  );

  it('of the same run has the same weights, however its steps were cut into shards', async () => {
    const { bytes } = await forgeRun(folder, options);
    const against = (await recordRun(folder, options)).bytes;
    const { sentence, checkedSteps, comparisons } = await audit(bytes, { data, against });
    expect(sentence).toBe('Both transcripts have the same state after each of 18 steps; none was computed');
    expect({ checkedSteps, comparisons }).toEqual({ checkedSteps: 0, comparisons: 5 });
  });

  it('of another run is refused', async () => {
    const { bytes } = await forgeRun(folder, options);
    const against = (await forgeRun(folder, { ...options, seed: 2 })).bytes;
    await expect(audit(bytes, { data, against })).rejects.toThrow(
      'the second transcript: it is of another run: expected seed 1, got 2',
    );
  });
});

describe('samples', () => {
  /** A run with a checkpoint after every step, whose states the transcript seals. */
  async function sealedRun(told?: Lies) {
    return forgeRun(folder, options, { ...told, sealEvery: 3 });
  }
  const lie: Lies = { sum: at(10, 2, flipBit) };

  it('are spans from one sealed state to the next', async () => {
    const { bytes, states } = await sealedRun();
    for (const [rate, checked] of [
      [0.1, 3],
      [0.2, 6],
      [0.5, 9],
      [1, 18],
    ] as const) {
      const { sentence, checkedSteps, reachedSteps } = await audit(bytes, { data, states, rate });
      expect({ checkedSteps, reachedSteps }).toEqual({ checkedSteps: checked, reachedSteps: 0 });
      expect(sentence).toContain(`${checked} of 18 steps`);
    }
  });

  it('find a lie exactly if they have its step', async () => {
    const { bytes, states } = await sealedRun(lie);
    for (let span = 0; span < 6; span++) {
      const { isRight, finding } = await audit(bytes, { data, states, rate: 0.1, random: () => span / 6 });
      expect(isRight).toBe(span !== 3);
      if (!isRight) expect(finding).toMatchObject({ type: 'results', step: 11, shards: [{ worker: worker(3) }] });
    }
  });

  it('find a state that was exchanged between two spans', async () => {
    const { bytes, states } = await sealedRun({
      weights(step, weights) {
        if (step === 8) flipBit(weights);
      },
    });
    const { finding } = await audit(bytes, { data, states, rate: 0.1, random: () => 2 / 6 });
    expect(finding).toEqual({ type: 'optimizer', step: 9 });
  });

  it('need states of this run', async () => {
    const { bytes } = await sealedRun();
    const others = (await forgeRun(folder, { ...options, seed: 2 })).states;
    for (const states of [undefined, others]) {
      await expect(audit(bytes, { data, states, rate: 0.1 })).rejects.toThrow('expected checkpoints of this run');
    }
  });
});

describe('an audit is refused in one sentence', () => {
  const rows: Readonly<Record<string, readonly [options: AuditOptions, sentence: string]>> = {
    'with other data': [
      { data: { ...tinyData, train: shiftedTargets(tinyData.train) } },
      'expected the training samples of the run (given by a program, SHA-256 ',
    ],
    'without the data': [{}, 'expected the data of the run (given by a program), got none'],
    'with another key': [
      { data, publicKeys: ['0123456789abcdef'.repeat(4)] },
      'expected a transcript signed with the key 0123456789abcdef…, got one signed with ',
    ],
    'with the weights of another model': [
      { data, weightsSha256: 'f'.repeat(64) },
      'expected the transcript of weights ffffffffffffffff…, got one of weights ',
    ],
  };
  it.each(Object.entries(rows))('%s', async (_, [given, sentence]) => {
    const { bytes } = await forgeRun(folder, { ...options, steps: 2 });
    await expect(audit(bytes, given)).rejects.toThrow(sentence);
  });

  it.each<NonNullable<Lies['end']>>([{ step: 3, weightsSha256: 'f'.repeat(64) }, { step: 3 }])(
    'if the final weights are of a step that was not taken: %j',
    async (end) => {
      const { bytes } = await forgeRun(folder, { ...options, steps: 2 }, { end });
      await expect(audit(bytes, { data, weightsSha256: end.weightsSha256 })).rejects.toThrow(
        'expected final weights of a step that was taken, got something else after step 2',
      );
    },
  );

  it('if this version does not know how the data are read', async () => {
    const readBy = { isDefault: false, options: { sheet: 2 } as object };
    const { bytes } = await recordRun(folder, { ...options, data: { ...data, readBy }, steps: 2 });
    await expect(audit(bytes, { data: folder })).rejects.toThrow(
      'expected a header that says how to read the data, got one that this version cannot follow: ',
    );
  });

  it('if a worker computed in another numeric mode', async () => {
    const { bytes } = await forgeRun(
      folder,
      { ...options, steps: 2 },
      { numericsHash: (number) => (number === 2 ? 'gpu' : undefined) },
    );
    await expect(audit(bytes, { data })).rejects.toThrow(
      'expected results in f32-mul-add.v1, got some of w2 name 2 in another mode, whose bits this machine cannot compute',
    );
  });

  it('if this machine computes other bits than the coordinator did', async () => {
    const { bytes } = await forgeRun(folder, { ...options, steps: 2 }, { coordinatorHash: 'other' });
    await expect(audit(bytes, { data })).rejects.toThrow('expected a machine that computes in f32-mul-add.v1');
  });
});
