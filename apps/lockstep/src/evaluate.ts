/** `evaluate`: a model's accuracy or error on the test samples of a data set. */
import {
  dataOptions,
  decimals,
  flagKind,
  formatTable,
  generalOptions,
  measured,
  type PrintedColumn,
  percent,
  plural,
  readCommandLine,
  requireOutputs,
  saveJson,
  shownLine,
  textKind,
  thousands,
  usageFailure,
  type ValuesOf,
  version,
} from '@lockstep/command';
import { concatDatasets, DataError, type Dataset, sizeOfField, targetWords } from '@lockstep/data';
import { loadMnist, openDataset, openDefaultText } from '@lockstep/data/node';
import { outputCount, parameterCount } from '@lockstep/nn';
import { formatShape } from '@lockstep/tensor';
import type { LoadedModel, ModelEvaluation } from '@lockstep/train';
import { imbalanceLines, metricsLines, optionsAlike, textQuality, tokenUnits } from '@lockstep/train/command-line';
import { inputsOf, loadOptions, openModel } from './saved-model.ts';

const commandLine = {
  name: 'evaluate',
  args: '--load FILE.safetensors [options]',
  summary:
    'Evaluates a saved model on test data: loss, accuracy, metrics of each class, and the classes that it confuses.',
  options: {
    ...loadOptions,
    data: dataOptions.data,
    label: dataOptions.label,
    'skip-bad': dataOptions['skip-bad'],
    all: {
      kind: flagKind,
      help: 'evaluate on all samples instead of the test split, for data that the model has not seen',
    },
    report: {
      kind: textKind,
      placeholder: 'FILE.json',
      help: 'file for the results, with all metrics and the whole confusion matrix',
    },
    ...generalOptions,
  },
} as const;

type Values = ValuesOf<typeof commandLine.options>;

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
  process.stdout.write(`${which}: ${samplesText(test, model, options.all ? '' : 'test ')}\n`);
  const evaluation = await model.evaluate(test);
  model.dispose();
  process.stdout.write(`${evaluationText(evaluation, classes, unitOf(model.reading))}\n`);
  if (options.report === undefined) return 0;
  const about = { lockstep: version, model: { name: architecture.name, parameters }, weightsSha256, classes, values };
  await saveJson(options.report, { ...about, samples: test.count, ...evaluation });
  process.stdout.write(`report written to ${options.report}\n`);
  return 0;
}

/** @param test precedes the noun */
function samplesText({ count, samples: { shape }, targets }: Dataset, { reading }: LoadedModel, test: string): string {
  if (targets.role === 'next') {
    const [sample, of] = targets.lines ? ['line', 'of up to'] : ['window', 'of'];
    return `${plural(count, `${test}${sample}`)} ${of} ${targets.positions} ${unitOf(reading)}`;
  }
  const size = shape.length === 1 ? `, ${plural(shape[0]!, 'value')} each` : ` of ${shape.join(' x ')}`;
  return plural(count, `${test}sample`) + size;
}

function unitOf(reading: LoadedModel['reading']): string {
  return reading?.type === 'text' ? tokenUnits[reading.vocabulary.kind] : 'tokens';
}

const nameData = 'name the data of the model with --data';

function requireFit(model: LoadedModel, data: Dataset, path: string | undefined): void {
  const where = `--data ${path ?? 'MNIST'}`;
  const advice = path === undefined ? `: ${nameData}` : '';
  const { classes, values } = model;
  const [wanted, given] = [model.samples, data.samples];
  const isAlike =
    wanted.shape.length > 1 ? wanted.shape.join() === given.shape.join() : sizeOfField(wanted) === sizeOfField(given);
  if (!isAlike) {
    const expected = `samples of shape ${formatShape(wanted.shape)}, the input of the model`;
    throw usageFailure(`${where}: expected ${expected}, got ${formatShape(given.shape)}${advice}`);
  }
  if (given.role !== wanted.role) {
    const [expected, got] = wanted.role === 'scaled' ? ['bytes', 'floats'] : ['floats', 'bytes'];
    throw usageFailure(`${where}: expected samples of ${expected}, as in training, got ${got}`);
  }
  const { role, names } = data.targets;
  const [count, what] =
    classes.length > 0
      ? [classes.length, targetWords.index.many]
      : values.length > 0
        ? [values.length, targetWords.value.many]
        : [outputCount(model.architecture), targetWords.next.many];
  const got = targetWords[role].many;
  if (got === what && names.length === count) return;
  throw usageFailure(`${where}: expected ${count} ${what}, as the model has, got ${names.length} ${got}`);
}

/**
 * The samples to evaluate a model on, read in the same way as its training samples. If the data are split by a seed,
 * returns the test part of the model's own training, by its seed; with `all`, every
 * sample.
 * @throws CommandFailure with exit code 2
 */
async function testSamples({ data, label, all, 'skip-bad': skipBad }: Values, model: LoadedModel): Promise<Dataset> {
  try {
    const split = all ? { testFraction: 1 } : { seed: model.seed };
    const options = { ...optionsAlike(model, label), ...split, skipBad: skipBad || undefined };
    const isText = model.reading?.type === 'text' && !model.reading.table;
    const byDefault = () => (isText ? openDefaultText(options) : loadMnist());
    const { train, test } = await (data === undefined ? byDefault() : openDataset(data, options));
    return all && train.count > 0 ? concatDatasets(train, test) : test;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw usageFailure(data === undefined ? `${error.message}; ${nameData}` : `--data: ${error.message}`);
  }
}

interface Confusion {
  readonly label: number;
  readonly predicted: number;
  readonly count: number;
}

const mostShown = 10;
const nameLength = 60;

const columns: readonly PrintedColumn[] = [
  { header: 'class' },
  { header: 'predicted as' },
  { header: 'samples', align: 'right' },
  { header: 'of its class', align: 'right' },
];

/** Lines without a trailing line break. @param classes their names @param unit name of a token */
export function evaluationText(evaluation: ModelEvaluation, classes: readonly string[], unit?: string): string {
  const { loss, metrics, confusion } = evaluation;
  if (!Number.isFinite(loss)) return 'the loss is not finite: the training of this model has diverged';
  const table = metrics ? metricsLines(metrics) : [];
  return [
    qualityText(evaluation, unit),
    ...(metrics && 'classes' in metrics ? imbalanceLines(metrics, true) : []),
    ...(table.length > 0 ? ['', ...table] : []),
    ...(confusion ? errorLines(errorsOf(confusion), confusion, classes) : []),
  ].join('\n');
}

function qualityText({ loss, accuracy, r2, rmse, metrics, confusion }: ModelEvaluation, unit?: string): string {
  if (accuracy === null) {
    const absolute = metrics && 'outputs' in metrics ? `, MAE ${measured(metrics.mae)}` : '';
    const explained = r2 === null ? '' : `, R² ${decimals(r2)}`;
    return `loss ${decimals(loss)}, RMSE ${measured(rmse!)}${absolute}${explained}`;
  }
  if (metrics && 'perplexity' in metrics) return `${textQuality(metrics, unit)}, accuracy ${percent(accuracy)}`;
  const quality = `loss ${decimals(loss)}, accuracy ${percent(accuracy)}`;
  if (!confusion) return quality;
  const wrong = errorsOf(confusion).reduce((sum, { count }) => sum + count, 0);
  const samples = confusion.flat().reduce((sum, count) => sum + count, 0);
  return `${quality}: ${thousands(wrong)} of ${thousands(samples)} wrong`;
}

type Counts = NonNullable<ModelEvaluation['confusion']>;

function errorLines(errors: readonly Confusion[], confusion: Counts, classes: readonly string[]): string[] {
  if (errors.length === 0) return [];
  const totals = confusion.map((row) => row.reduce((sum, count) => sum + count, 0));
  const rows = errors
    .slice(0, mostShown)
    .map(({ label, predicted, count }) => [
      shownLine(classes[label]!, nameLength),
      shownLine(classes[predicted]!, nameLength),
      thousands(count),
      percent(count / totals[label]!),
    ]);
  return ['', 'most frequent errors', formatTable(columns, rows, '  ')];
}

/** Most frequent first; ties in the order of the classes. */
function errorsOf(confusion: Counts): Confusion[] {
  return confusion
    .flatMap((row, label) => row.map((count, predicted) => ({ label, predicted, count })))
    .filter(({ label, predicted, count }) => label !== predicted && count > 0)
    .sort((a, b) => b.count - a.count);
}
