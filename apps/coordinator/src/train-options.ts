/** Converts a command line to the library's options, and reads the files that options name. */
import {
  commandText,
  libraryOptions,
  readOptionBytes,
  readOptionFile,
  requireOutputs,
  tlsOf,
  tokenFrom,
} from '@lockstep/command';
import type { ListenOptions, TrainOptions } from '@lockstep/train';
import { maxModelFileBytes, type RunValues, runOptions, uploadedData } from '@lockstep/train/command-line';

interface Asked extends TrainOptions {
  readonly listen?: ListenOptions;
}

/** @throws CommandFailure with exit code 2 if a file cannot be used */
export function trainOptionsOf(options: RunValues): TrainOptions {
  const { init, model, single } = options;
  const token = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  requireOutputs({ save: options.save, report: options.report, addresses: options.addresses }, inputsOf(options));
  // `--save` may overwrite the initial weights; the report may not.
  requireOutputs({ report: options.report }, { init });
  const { listen, ...asked }: Asked = libraryOptions(runOptions, options);
  const workerCommand = commandText('worker', '--url');
  return {
    ...asked,
    model: modelText(model),
    initialWeights: init === undefined ? undefined : readOptionBytes('init', init, maxModelFileBytes),
    listen: single ? false : { ...listen, tls: tlsOf(options), token, workerCommand },
    workers: single ? 0 : options.workers,
  };
}

/** The text of a layer list, or the name of a model. @throws CommandFailure with exit code 2 */
export function modelText(nameOrFile: string): string {
  return isModelFile(nameOrFile) ? readOptionFile('model', nameOrFile) : nameOrFile;
}

function isModelFile(nameOrFile: string): boolean {
  return nameOrFile.endsWith('.json');
}

/** Input files, which would be lost if a run overwrote them. */
function inputsOf(options: RunValues): Readonly<Record<string, string | undefined>> {
  const { data, model } = options;
  const others = ['token-file', 'tls-cert', 'tls-key', 'fleet-credentials', 'fleet-ca'] as const;
  return {
    data: data === uploadedData ? undefined : data,
    model: isModelFile(model) ? model : undefined,
    ...Object.fromEntries(others.map((name) => [name, options[name]])),
  };
}
