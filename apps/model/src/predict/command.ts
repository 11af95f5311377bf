/** `npm run predict`: the classes that a model gives to pictures and lists of values. */
import {
  commandText,
  generalOptions,
  operands,
  readCommandLine,
  switchOption,
  usageFailure,
  wholeNumber,
  withFallback,
} from '@lockstep/command';
import { loadOptions, openModel } from '../load-option.ts';
import { predictionJson, predictionText } from './output.ts';
import { readSample, type Sample } from './sample.ts';

const commandLine = {
  usage: commandText('predict', '--load FILE.safetensors [options] FILE…'),
  summary: 'Says what a saved model sees in pictures, or in lists of values.',
  options: {
    files: operands('FILE…', 'PNG, JPEG or WebP pictures, or .json files with the values of one sample each'),
    ...loadOptions,
    invert: switchOption('turn dark on light into light on dark, as in MNIST, before the model sees a picture'),
    top: withFallback(wholeNumber('how many classes to name, the most probable first', { from: 1 }), 3),
    json: switchOption('print JSON: all scores of each file'),
    ...generalOptions,
  },
};

/** @returns the exit code */
export async function predict(args: readonly string[]): Promise<number> {
  const options = readCommandLine(commandLine, args);
  if (!options) return 0;
  const { files, invert, top, json } = options;
  if (files.length === 0) throw usageFailure('predict: expected one or more files to read, got none');
  const model = await openModel(options);
  const samples: Sample[] = [];
  for (const file of files) samples.push(await readSample(file, model, invert));
  const predictions = await model.predict(Buffer.concat(samples.map(({ values }) => values)));
  model.dispose();
  const results = samples.map((sample, index) => ({ sample, prediction: predictions[index]! }));
  process.stdout.write(
    json ? predictionJson(results, model.classes, top) : predictionText(results, model.classes, top),
  );
  return 0;
}
