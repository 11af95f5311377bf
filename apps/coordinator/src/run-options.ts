/** A command line as options of the library, with the files that it names, and as the command that resumes its run. */
import { basename, resolve } from 'node:path';
import {
  CommandFailure,
  commandText,
  isModelFile,
  libraryOptions,
  modelText,
  readOptionBytes,
  readOptionFile,
  requireOutputs,
  shellWord,
  tlsOf,
  tokenFrom,
  usageFailure,
} from '@lockstep/command';
import { DataError, movableSamples } from '@lockstep/data';
import { openDataset, openDefaultText } from '@lockstep/data/node';
import type { OpenedDataset } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import type { ListenOptions, TrainingData, TrainOptions } from '@lockstep/train';
import {
  balanced,
  maxModelFileBytes,
  parseClassWeights,
  type RunValues,
  type runCommands,
  runOptions,
  textFor,
  uploadedData,
} from '@lockstep/train/command-line';

interface Asked extends TrainOptions {
  readonly listen?: ListenOptions;
}

/** @throws CommandFailure with exit code 2 if a file cannot be used */
export function trainOptionsOf(options: RunValues): TrainOptions {
  const { init, model, single } = options;
  const token = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  const { save, report, addresses, transcript } = options;
  requireOutputs({ save, report, addresses, transcript }, inputsOf(options));
  // `--save` may overwrite the initial weights; the report may not.
  requireOutputs({ report, transcript }, { init });
  const { listen, ...asked }: Asked = libraryOptions(runOptions, options);
  const workerCommand = commandText('worker', '--url');
  return {
    ...asked,
    model: model === undefined ? undefined : modelText(model),
    classWeights: classWeightsOf(options['class-weights']),
    initialWeights: init === undefined ? undefined : readOptionBytes('init', init, maxModelFileBytes),
    listen: single ? false : { ...listen, tls: tlsOf(options), token, workerCommand },
    workers: single ? 0 : options.workers,
  };
}

/** @throws CommandFailure with exit code 2 if a file does not contain weights */
function classWeightsOf(given: string | undefined): TrainOptions['classWeights'] {
  if (given === undefined || given === balanced) return given;
  try {
    return parseClassWeights(readOptionFile('class-weights', given));
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw usageFailure(`--class-weights ${given}: ${errorMessage(error)}`);
  }
}

/** Input files, which would be lost if a run overwrote them. */
function inputsOf(options: RunValues): Readonly<Record<string, string | undefined>> {
  const { data, model } = options;
  const others = ['token-file', 'tls-cert', 'tls-key', 'fleet-credentials', 'fleet-ca'] as const;
  return {
    data: data === uploadedData ? undefined : data,
    model: model !== undefined && isModelFile(model) ? model : undefined,
    'class-weights': options['class-weights'] === balanced ? undefined : options['class-weights'],
    ...Object.fromEntries(others.map((name) => [name, options[name]])),
  };
}

/** The data, and a function that splits them by another seed. */
type OpenedData = OpenedDataset & Pick<TrainingData, 'name' | 'label' | 'readBy' | 'splitBy'>;

/**
 * Opens the named data, or the default text of a model of text; returns undefined for another model without data.
 * @throws CommandFailure with exit code 2 if the data cannot be used
 */
export async function openData(options: RunValues): Promise<OpenedData | undefined> {
  const { data, model, seed, label, ignore, task, missing, size, gray, fit, 'skip-bad': skipBad } = options;
  const { vocabulary, context, lines } = options;
  const ofModel = model === undefined ? undefined : textFor(modelText(model));
  if (data === uploadedData || (data === undefined && !ofModel)) return undefined;
  // The reader replaces undefined options by its defaults.
  const pictureOptions = { size, gray: gray || undefined, fit, skipBad: skipBad || undefined };
  const textOptions = { vocabulary, context, lines: lines || undefined, model: ofModel };
  const readerOptions = { label, ignore, task, missing, ...pictureOptions, ...textOptions };
  try {
    const splitBy = async (seed: number) => {
      const readBy = { isDefault: data === undefined, options: data === undefined ? textOptions : readerOptions };
      if (data === undefined) return { ...openDefaultText({ ...textOptions, seed }), readBy };
      return { ...(await openDataset(data, { ...readerOptions, seed })), name: basename(resolve(data)), label, readBy };
    };
    const opened = await splitBy(seed);
    // Movable, because only the run uses the samples.
    return { ...opened, train: movableSamples(opened.train), splitBy };
  } catch (error) {
    if (error instanceof DataError) throw usageFailure(`--data: ${error.message}`);
    throw error;
  }
}

/** `start` or `coordinator`. */
export type CommandName = keyof typeof runCommands;

/** The command that resumes an interrupted run. @param args those that started it, including `--checkpoint` */
export function resumeCommand(name: CommandName, args: readonly string[]): string {
  // A fleet resumes from its newest checkpoint by itself.
  const isFleet = args.some((arg) => arg === '--fleet' || arg.startsWith('--fleet='));
  const all = isFleet || args.includes('--resume') ? args : [...args, '--resume'];
  return commandText(name, all.map((arg) => shellWord(withoutLogin(arg))).join(' '));
}

/** Removes user and password from a fleet's address, since they must not be printed. */
function withoutLogin(text: string): string {
  return text.replaceAll(/\b(nats|tls):\/\/[^/,@]*@/g, '$1://');
}
