/** `npm run generate`: continues a prompt as the library does, and refuses bad input in one sentence. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { datasetFromText } from '@lockstep/data/readers';
import { initialize, parseModel, readTensors, writeModelFile } from '@lockstep/nn';
import { loadModel, train } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { evaluate } from '../src/evaluate.ts';
import { generateText } from '../src/generate.ts';
import { predictFiles } from '../src/predict.ts';
import { barsFile, expectRefusal, printed } from './bars.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const prose = 'the whale and the sea and a sailor\n'.repeat(30);
const load = ['--load', place('prose')];

beforeAll(async () => {
  const data = datasetFromText(prose, { context: 16 });
  const { trained, modelFile } = await train({
    data,
    model: 'gpt-nano',
    batch: 6,
    steps: 20,
    sampleEvery: 0,
  }).result.then((result) => ({ trained: result.model, modelFile: result.modelFile() }));
  trained.dispose();
  writeFileSync(place('prose'), modelFile);
  const { model, weightsSha256: _, ...metadata } = readTensors(modelFile).metadata;
  const peeking = parseModel(JSON.parse(model!.replaceAll('"heads":2', '"heads":2,"causal":false')));
  writeFileSync(place('peeking'), writeModelFile(peeking, initialize(peeking, 1), metadata));
  writeFileSync(place('prose.txt'), prose);
  writeFileSync(place('other.txt'), 'Ünknown '.repeat(40));
  writeFileSync(place('bars'), barsFile());
});

describe('npm run generate', () => {
  it('prints the prompt and what the model writes after it', async () => {
    const options = { prompt: 'the ', length: 50, temperature: 0.5, topK: 5, seed: 3 };
    const model = await loadModel(place('prose'));
    let text = '';
    for await (const part of model.generate(options)) text += part;
    model.dispose();
    const args = ['--prompt', 'the ', '--length', '50', '--temperature', '0.5', '--top-k', '5', '--seed', '3'];
    expect((await printed(() => generateText([...load, ...args]))).stdout).toBe(`the ${text}\n`);
    expect(text).toHaveLength(50);
  });

  it.each<[args: string[], message: RegExp]>([
    [[], /^--load: expected FILE\.safetensors, got none$/],
    [[...load, '--prompt', 'É'], /^--prompt: text: expected characters that the model knows, got "É" as character 1$/],
    [[...load, '--temperature', '-1'], /^--temperature: expected a number of at least 0, got -1$/],
    [[...load, '--length', '0'], /^--length: expected a whole number of at least 1, got 0$/],
    [
      ['--load', place('bars')],
      /bars: generate: expected a model that predicts the next token of a text, got one that/,
    ],
    [['--load', place('peeking')], /^--load .*peeking: generation: expected attention that is causal$/],
    [['--load', place('prose.txt')], /prose\.txt: /],
  ])('refuses %j', async (args, message) => {
    await expectRefusal(() => generateText(args), message);
  });
});

describe('a text model', () => {
  it('is evaluated on a text: loss, perplexity and bits per byte', async () => {
    const { stdout } = await printed(() => evaluate([...load, '--data', place('prose.txt'), '--all']));
    expect(stdout).toMatch(/: 6\d windows of 16 characters\n/);
    expect(stdout).toMatch(
      /loss \d\.\d{3} \(perplexity [\d.]+, \d\.\d\d bits per byte; 1,0\d\d characters\), accuracy/,
    );
  });

  it('cannot read a text with other characters, and does not classify', async () => {
    await expectRefusal(
      () => evaluate([...load, '--data', place('other.txt')]),
      /^--data: .*expected characters that the model knows, got "Ü"/,
    );
    await expectRefusal(
      () => evaluate(load),
      /^Moby Dick: expected characters that the model knows, got .*; name the data of the model with --data$/,
    );
    await expectRefusal(() => predictFiles([...load, place('prose.txt')]), /^predict: expected a model/);
  });
});
