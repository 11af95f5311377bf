/** A text run: its measures, the texts that it writes, and what a loaded model generates. */
import { datasetFromText } from '@lockstep/data/readers';
import { describe, expect, it } from 'vitest';
import { type GenerateOptions, loadModel, type SampleEvent, type TrainOptions, train } from '../../train/src/index.ts';

const words = ['a whale', 'the sea', 'is white', 'and', 'deep', '.\n'];
const prose = Array.from({ length: 400 }, (_, index) => words[(index * index + index) % words.length]).join(' ');
const data = { ...datasetFromText(prose, { context: 16 }), name: 'prose' };
const lines = datasetFromText(words.concat(words).join('\n'), { lines: true });
const options: TrainOptions = { data, model: 'gpt-nano', batch: 12, steps: 30, sampleEvery: 12, optimizer: 'adamw' };

/** Texts of a run's events. */
async function sampled(asked: TrainOptions) {
  const run = train(asked);
  const samples: SampleEvent[] = [];
  for await (const event of run) if (event.type === 'sample') samples.push(event);
  return { samples, result: await run.result };
}

async function textOf(texts: AsyncIterable<string>): Promise<string> {
  let all = '';
  for await (const text of texts) all += text;
  return all;
}

const { samples, result } = await sampled({ ...options, prompt: 'the ' });
const model = await loadModel(result.modelFile());

describe('a text run', () => {
  it('writes a text every few steps and at its end, from the prompt; events and report have the same ones', () => {
    expect(samples.map(({ step, prompt }) => [step, prompt])).toEqual([12, 24, 30].map((step) => [step, 'the ']));
    expect(result.report.samples).toEqual(samples.map(({ step, text, loss }) => ({ step, text, loss })));
    expect(result.report.config).toMatchObject({ prompt: 'the ', sampleEvery: 12 });
    expect(new Set(samples.map(({ text }) => text)).size).toBe(3);
  });

  it('measures loss, perplexity and bits per byte on every held-out character', () => {
    const { metrics, epochs } = result.report;
    if (!metrics || !('perplexity' in metrics)) throw new Error('expected metrics of a text');
    const { testLoss, testAccuracy } = epochs.at(-1)!;
    const tokens = 16 * data.test.count;
    expect(metrics).toMatchObject({ loss: testLoss, accuracy: testAccuracy, tokens, bytes: tokens });
    expect(metrics.perplexity).toBeCloseTo(Math.exp(testLoss), 12);
    expect(metrics.bitsPerByte).toBeCloseTo(testLoss / Math.LN2, 12);
    // The last text was measured on all of so few characters.
    expect(samples.at(-1)!.loss).toBe(testLoss);
    expect(testLoss).toBeLessThan(Math.log(data.train.targets.names.length));
  });

  it('keeps the weights of its best text', async () => {
    const best = await sampled({ ...options, keep: 'best', monitor: 'bits-per-byte', validation: 0.2 });
    const { kept, samples: texts = [], validationMetrics } = best.result.report;
    const lowest = texts.reduce((low, text) => (text.loss < low.loss ? text : low));
    expect(kept).toMatchObject({ step: lowest.step, monitor: 'bits-per-byte', isPart: true });
    expect(validationMetrics).toMatchObject({ loss: lowest.loss, bitsPerByte: kept!.value });
    expect(await textOf(best.result.model.generate({ length: 300 }))).toBe(lowest.text);
  });

  it('writes nothing if it is not to, or has diverged', async () => {
    expect((await sampled({ ...options, sampleEvery: 0 })).result.report).not.toHaveProperty('samples');
    const diverged = await sampled({ ...options, optimizer: { type: 'sgd', learningRate: 1e30 } }).catch(
      () => undefined,
    );
    expect(diverged?.samples ?? []).toEqual([]);
  });

  it('of lines writes line after line', async () => {
    const { samples: texts } = await sampled({ ...options, data: lines, model: 'names', batch: 4, steps: 60 });
    expect(texts.at(-1)!.text.split('\n').length).toBeGreaterThan(3);
  });
});

describe('a loaded model', () => {
  it('continues a prompt as the run did, on and on', async () => {
    const text = await textOf(model.generate({ prompt: 'the ', length: 300 }));
    expect(text).toBe(samples.at(-1)!.text);
    expect(await textOf(model.generate({ prompt: 'the ', length: 40 }))).toBe(text.slice(0, 40));
  });

  it('is the less free the lower the temperature and the fewer the candidates', async () => {
    const write = (asked: GenerateOptions) => textOf(model.generate({ length: 60, ...asked }));
    const greedy = await write({ temperature: 0 });
    expect(await write({ topK: 1, temperature: 2, seed: 5 })).toBe(greedy);
    expect(await write({ seed: 2 })).not.toBe(await write({ seed: 3 }));
  });

  it('is evaluated as in its run', async () => {
    const { loss, accuracy, metrics } = await model.evaluate(data.test);
    const { testLoss, testAccuracy } = result.report.epochs.at(-1)!;
    expect({ loss, accuracy }).toEqual({ loss: testLoss, accuracy: testAccuracy });
    expect(metrics).toEqual(result.report.metrics);
  });

  it.each<[GenerateOptions, RegExp]>([
    [{ prompt: 'é' }, /^text: expected characters that the model knows, got "é" as character 1$/],
    [{ temperature: -1 }, /^temperature: expected a number of at least 0, got -1$/],
    [{ topK: 0 }, /^topK: expected a whole number of at least 1, got 0$/],
    [{ length: 0.5 }, /^length: expected a whole number of at least 1, got 0.5$/],
  ])('refuses %j', async (asked, message) => {
    await expect(textOf(model.generate(asked))).rejects.toThrow(message);
  });

  it('that writes does not classify', async () => {
    await expect(model.predict(data.test.samples.values)).rejects.toThrow(
      'predict: expected a classifier, got a model that writes text: use generate',
    );
  });
});

it.each<[Partial<TrainOptions>, RegExp]>([
  [{ prompt: '€' }, /^prompt: text: expected characters that the model knows, got "€" as character 1$/],
  [{ prompt: 'a', sampleEvery: 0 }, /^prompt: cannot be combined with sampleEvery 0, which writes no text$/],
  [{ data: undefined, model: 'mlp', prompt: 'a' }, /^prompt: expected a text to train on, whose model can write/],
])('a run with %j is refused', async (asked, message) => {
  await expect(train({ ...options, ...asked }).result).rejects.toThrow(message);
});
