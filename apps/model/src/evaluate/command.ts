/** `npm run evaluate`: a model's accuracy or error on the test samples of a data set. */
import {
  dataOptions,
  flag,
  generalOptions,
  readCommandLine,
  requireOutputs,
  saveJson,
  shownLine,
  text,
  usageFailure,
  version,
} from '@lockstep/command';
import type { Dataset } from '@lockstep/data';
import { parameterCount } from '@lockstep/nn';
import { formatShape, sizeOf } from '@lockstep/tensor';
import type { LoadedModel } from '@lockstep/train';
import { thousands } from '@lockstep/train/command-line';
import { inputsOf, loadOptions, openModel } from '../load-option.ts';
import { testSamples } from './test-samples.ts';
import { evaluationText } from './text.ts';

const commandLine = {
  name: 'evaluate',
  args: '--load FILE.safetensors [options]',
  summary: 'Measures a saved model on the test samples of a data set: loss, accuracy, and what it confuses.',
  options: {
    ...loadOptions,
    data: dataOptions.data,
    label: dataOptions.label,
    all: { kind: flag, help: 'take every sample, those of the training too: for data that the model has not seen' },
    report: {
      kind: text,
      placeholder: 'FILE.json',
      help: 'where to write the figures, with the whole confusion matrix',
    },
    ...generalOptions,
  },
} as const;

/** @returns the exit code */
export async function evaluate(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  requireOutputs({ report: options.report }, { ...inputsOf(options), data: options.data });
  const model = await openModel(options);
  const test = await testSamples(options, model);
  requireFit(model, test, options.data);
  const { architecture, classes, values, weightsSha256 } = model;
  const parameters = parameterCount(architecture);
  const which = `Model ${shownLine(architecture.name)}, ${thousands(parameters)} parameters, weights ${weightsSha256.slice(0, 16)}…`;
  process.stdout.write(
    `${which}: ${thousands(test.count)} ${options.all ? '' : 'test '}samples of ${test.sampleShape.join(' x ')}\n`,
  );
  const evaluation = await model.evaluate(test);
  model.dispose();
  process.stdout.write(`${evaluationText(evaluation, classes)}\n`);
  if (options.report === undefined) return 0;
  const about = { lockstep: version, model: { name: architecture.name, parameters }, weightsSha256, classes, values };
  await saveJson(options.report, { ...about, samples: test.count, ...evaluation });
  process.stdout.write(`report written to ${options.report}\n`);
  return 0;
}

function requireFit(model: LoadedModel, data: Dataset, directory = 'MNIST'): void {
  const where = `--data ${directory}`;
  const { sampleShape, classes, values, scaling } = model;
  const expectedShape = sampleShape.length > 1 ? sampleShape.join() : `${sizeOf(sampleShape)}`;
  const gotShape = sampleShape.length > 1 ? data.sampleShape.join() : `${sizeOf(data.sampleShape)}`;
  if (gotShape !== expectedShape) {
    const expected = `samples of ${formatShape(sampleShape)}, as the model takes`;
    throw usageFailure(`${where}: expected ${expected}, got some of ${formatShape(data.sampleShape)}`);
  }
  const type = data.samples instanceof Uint8Array ? 'byte' : 'none';
  if (type !== scaling.type) {
    const [expected, got] = scaling.type === 'byte' ? ['bytes', 'floats'] : ['floats', 'bytes'];
    throw usageFailure(`${where}: expected samples of ${expected}, as in training, got ${got}`);
  }
  const [count, what] = classes.length > 0 ? [classes.length, 'classes'] : [values.length, 'values'];
  const { type: got, names } = data.targets;
  if (got === what && names.length === count) return;
  throw usageFailure(`${where}: expected ${count} ${what}, as the model has, got ${names.length} ${got}`);
}
