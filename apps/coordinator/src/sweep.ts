/** `--sweep`, `--seeds` and `--folds`: several runs on the same workers, with a table of them at the end. */
import {
  formatTable,
  interruptedCode,
  measured,
  modelText,
  type Option,
  type PrintedColumn,
  parseOptions,
  percent,
  saveJson,
  usageFailure,
  version,
} from '@lockstep/command';
import { monitors } from '@lockstep/nn';
import {
  type SweepOptions,
  type SweepReport,
  type SweepRow,
  type SweptRun,
  sweep,
  TrainingError,
  type TrainingRun,
  type TrainOptions,
} from '@lockstep/train';
import { type RunValues, runOptions } from '@lockstep/train/command-line';
import { colorsFor, RunDisplay } from './display.ts';

/** Whether a command line asks for several runs. */
export function isSweep({ sweep: swept, seeds, folds }: RunValues): boolean {
  return swept !== undefined || seeds !== undefined || folds !== undefined;
}

const table: Readonly<Record<string, Option>> = runOptions;

/** Options that may be swept: those that say how to train, except for the seed. */
const sweepable = Object.entries(table).flatMap(([name, { library, group, kind }]) => {
  const saysHow = group === 'run' || group === 'model';
  const isValue = kind.placeholder !== undefined && name !== 'seed' && name !== 'init';
  return saysHow && isValue && library !== undefined ? [name] : [];
});

/** The values to try, by the library's path of their option. @throws CommandFailure with exit code 2 */
function gridOf(asked: readonly string[], options: RunValues): NonNullable<SweepOptions['grid']> {
  const grid: Record<string, unknown[]> = {};
  for (const text of asked) {
    const [name = '', ...rest] = text.split('=');
    if (!sweepable.includes(name)) {
      throw usageFailure(`--sweep: expected one of ${sweepable.join(', ')} before =, got ${name}`);
    }
    const { with: _, without: __, ...option } = table[name]!;
    if (options[name as keyof RunValues] !== option.default) {
      throw usageFailure(`--${name}: cannot be combined with --sweep ${name}, which gives its values`);
    }
    if (grid[option.library!]) throw usageFailure(`--sweep ${name}: given twice, expected once`);
    const values = rest.join('=').split(',');
    grid[option.library!] = values.map((value) => {
      const read = parseOptions({ [name]: option }, [`--${name}=${value}`])[name];
      return name === 'model' ? modelText(`${read}`) : read;
    });
  }
  return grid;
}

/** The option's name on the command line. */
function nameOf(path: string): string {
  return Object.keys(table).find((name) => table[name]!.library === path) ?? path;
}

/** Such as `lr 0.05, seed 2, fold 1`. */
function aboutText({ values, seed, fold }: Pick<SweptRun, 'values' | 'seed' | 'fold'>): string {
  const swept = Object.entries(values).map(([path, value]) => `${nameOf(path)} ${value}`);
  return [...swept, `seed ${seed}`, ...(fold === undefined ? [] : [`fold ${fold}`])].join(', ');
}

/** Trains the runs, shows them, and writes the report. @returns the exit code */
export async function sweepRuns(asked: TrainOptions, options: RunValues, found: string | undefined): Promise<number> {
  const display = new RunDisplay(found, options.addresses);
  const { sweep: swept = [], seeds, folds, report: file } = options;
  try {
    const report = await sweep({
      ...{ ...asked, grid: gridOf(swept, options), seeds, folds },
      onRun: (run, about) => follow(run, about, display),
    });
    for (const line of sweepLines(report)) display.sentence(line);
    if (file !== undefined) {
      await saveJson(file, { lockstep: version, ...report });
      display.line(`report written to ${file}`);
    }
    if (asked.signal?.aborted) return interruptedCode;
    const failed = report.rows.filter(({ fault }) => fault !== undefined);
    return failed.length > 0 && failed.length === report.rows.length ? 1 : 0;
  } finally {
    display.end();
  }
}

/** Events that say the same in each run. */
const shownOnce: ReadonlySet<string> = new Set(['note', 'joined']);

async function follow(run: TrainingRun, about: SweptRun, display: RunDisplay): Promise<void> {
  const isFirst = about.number === 1;
  display.line(`${isFirst ? '' : '\n'}Run ${about.number} of ${about.runs}: ${aboutText(about)}`);
  try {
    for await (const event of run) if (isFirst || !shownOnce.has(event.type)) display.show(event);
  } catch (error) {
    // The sweep goes on with the next run.
    if (!(error instanceof TrainingError)) throw error;
    display.line(error.message);
  }
}

const number = (header: string): PrintedColumn => ({ header, align: 'right' });

/** The tables at the end of a sweep. */
function sweepLines({ rows, combinations, best, monitor, measuredOn }: SweepReport): string[] {
  const [first] = rows;
  if (!first) return ['No run was finished.'];
  const { label } = monitors[monitor];
  const paths = Object.keys(first.values);
  const isClassifier = rows.every(({ test }) => test.rmse === null);
  const shown = (value: number | null): string => (value === null ? 'diverged' : measured(value));
  const columns: { readonly column: PrintedColumn; readonly text: (row: SweepRow) => string }[] = [
    ...paths.map((path) => ({ column: { header: nameOf(path) }, text: ({ values }: SweepRow) => `${values[path]}` })),
    { column: number('seed'), text: ({ seed }) => `${seed}` },
    ...(first.fold === undefined ? [] : [{ column: number('fold'), text: ({ fold }: SweepRow) => `${fold}` }]),
    ...(rows.some(({ kept }) => kept)
      ? [{ column: number('kept epoch'), text: ({ kept }: SweepRow) => `${kept?.epoch ?? '-'}` }]
      : []),
    { column: number('test loss'), text: ({ test }) => shown(Number.isFinite(test.loss) ? test.loss : null) },
    isClassifier
      ? { column: number('test accuracy'), text: ({ test }) => (test.accuracy === null ? '-' : percent(test.accuracy)) }
      : { column: number('test RMSE'), text: ({ test }) => shown(test.rmse) },
    ...(measuredOn === 'validation' || monitor !== 'loss'
      ? [{ column: number(`${measuredOn} ${label}`), text: ({ score }: SweepRow) => shown(score) }]
      : []),
    { column: { header: 'weights' }, text: ({ weightsSha256 }) => weightsSha256.slice(0, 12) },
  ];
  const runs = formatTable(
    columns.map(({ column }) => column),
    rows.map((row) => columns.map(({ text }) => text(row))),
  );
  const lines = ['', ...runs.split('\n'), ''];
  if (rows.length > combinations.length) {
    const means = formatTable(
      [...paths.map((path) => ({ header: nameOf(path) })), number('runs'), number(`${measuredOn} ${label}`)],
      combinations.map(({ values, runs: count, mean, deviation }) => [
        ...[...paths.map((path) => `${values[path]}`), `${count}`],
        mean === null ? 'diverged' : `${measured(mean)} ± ${measured(deviation!, 2)}`,
      ]),
    );
    lines.push(...means.split('\n'), '');
  }
  if (best && combinations.length > 1) {
    const what = paths.map((path) => `${nameOf(path)} ${best.values[path]}`).join(', ');
    const bold = colorsFor(process.stdout).bold(what);
    lines.push(`Best by ${rows.length > combinations.length ? 'mean ' : ''}${measuredOn} ${label}: ${bold}`);
  }
  return lines;
}
