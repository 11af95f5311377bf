/** The command line of the examples: lists the chapters and programs, or runs one of them. */
import {
  commandText,
  dataOptions,
  formatTable,
  generalOptions,
  kindOf,
  type Option,
  type Options,
  readCommandLine,
  usageFailure,
  wrapText,
} from '@lockstep/command';
import { loadMnist } from '@lockstep/data/node';
import { errorMessage } from '@lockstep/data/shown';
import {
  accepts,
  type Chapter,
  type Control,
  chapters,
  type Digits,
  type Exhibit,
  expectedOf,
  fewDigits,
  LiveRun,
  labeledImages,
  partsOf,
  type Setting,
  textOf,
} from '@lockstep/lesson';
import { openBackend } from '@lockstep/tensor';

/** Titles of the programs to copy, by the names of their files. A program is a module that runs when it is imported. */
export const programs: Readonly<Record<string, string>> = {
  iris: 'A table in a CSV file',
  pictures: 'A folder of pictures for each class',
  'xor-in-eight-lines': 'The smallest run, on arrays in memory',
  'layer-list': 'A model of your own layers',
  'early-stopping': 'Keeps the best epoch, and stops when none improves',
  'learning-rate-sweep': 'Three learning rates in one table',
  'own-server': 'A run on an HTTP server of your own',
  'own-page': 'A page of your own, whose tabs compute',
};

const name = 'example';

/** @returns the exit code */
export async function example(args: readonly string[]): Promise<number> {
  const [asked, ...rest] = args;
  if (asked === undefined || asked.startsWith('-')) {
    const summary = `Runs a chapter of the lesson, or a program.\n${names()}`;
    if (!readCommandLine({ name, args: 'NAME [options]', summary, options: generalOptions }, args)) return 0;
    process.stdout.write(`${commandText(name, 'NAME [options]')}\n${names()}\n`);
    return 0;
  }
  const chapter = chapters.find(({ id }) => id === asked);
  if (chapter) return runChapter(chapter, rest);
  if (!Object.hasOwn(programs, asked)) {
    const known = [...chapters.map(({ id }) => id), ...Object.keys(programs)];
    throw usageFailure(`${asked}: expected one of ${known.join(', ')}`);
  }
  const summary = `${programs[asked]}: examples/${asked}.ts`;
  if (readCommandLine({ name, args: asked, summary, options: generalOptions }, rest)) {
    await import(`../${asked}.ts`);
  }
  return 0;
}

function names(): string {
  const lesson = chapters.map(({ id, title }) => [id, title]);
  const [first, second] = [lesson, Object.entries(programs)].map((rows) => formatTable([{}, {}], rows, '  '));
  return [
    'Chapters of the lesson (NAME --help lists the options of a chapter):',
    first,
    'Programs to copy, in examples:',
    second,
  ].join('\n');
}

async function runChapter(chapter: Chapter, args: readonly string[]): Promise<number> {
  const { id, title, claim, text, controls, live } = chapter;
  const data = {
    ...dataOptions.data,
    placeholder: 'DIR',
    help: 'folder with the four MNIST files, plain or .gz',
  } as const;
  const table: Options = {
    ...controlOptions(controls),
    ...controlOptions(live?.controls ?? {}, 'live-', 'Live run, '),
    ...(chapter.digits ? { data } : {}),
  };
  const line = { name, args: `${id} [options]`, summary: claim, options: { ...table, ...generalOptions } };
  const options = readCommandLine(line, args) as Readonly<Record<string, unknown>> | undefined;
  if (!options) return 0;
  const digits = chapter.digits ? await loadDigits(options['data'] as string | undefined) : undefined;
  const { backend } = await openBackend('auto');
  const print = (part: string): void => void process.stdout.write(`${part}\n`);
  const printAll = (exhibits: readonly Exhibit[]): void => {
    for (const exhibit of exhibits) {
      const parts = textOf(exhibit).map((part) =>
        typeof part === 'string' ? part : formatTable(part.columns, part.rows, part.indent),
      );
      print(`\n${parts.join('\n')}`);
    }
  };
  print(`${title}\n${wrapped(claim)}`);
  const context = { backend, digits, nowMs: () => performance.now() };
  const frames = [...chapter.exhibits(context, settingsIn(options, controls))];
  for (const paragraph of text) print(`\n${wrapped(paragraph)}`);
  printAll(frames.at(-1)!);
  if (live) {
    const run = new LiveRun(context, live, settingsIn(options, live.controls, 'live-'));
    while (run.advance());
    printAll(run.exhibits());
    run.dispose();
    print('\nOn the page, under Learn, you can change the settings while the curve grows.');
  } else if (frames.length > 1) {
    print('\nThe page, under Learn, shows this while it computes.');
  }
  return 0;
}

/** Options for controls: `--start-x` for the control `startX`, `--live-lr` for `lr` of the live run. */
function controlOptions(controls: Chapter['controls'], prefix = '', labelPrefix = ''): Record<string, Option<Setting>> {
  const options = Object.entries(controls).map(([control, { label, ...rest }]) => {
    const text = labelPrefix ? `${labelPrefix}${label.toLowerCase()}` : label;
    return [optionName(prefix, control), optionOf({ ...rest, label: text } as Control)];
  });
  return Object.fromEntries(options);
}

/** Returns the given settings, by the names of controls. */
function settingsIn(options: Readonly<Record<string, unknown>>, controls: Chapter['controls'], prefix = '') {
  const settings = Object.keys(controls).map((control) => [control, options[optionName(prefix, control)]]);
  return Object.fromEntries(settings) as Record<string, Setting | undefined>;
}

function optionName(prefix: string, control: string): string {
  return prefix + control.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function optionOf(control: Control): Option<Setting> {
  const { kind, label, fallback } = control;
  return {
    kind: {
      ...kindOf<Setting>(expectedOf(control), (value) => accepts(control, value as Setting)),
      placeholder: kind === 'choice' ? 'NAME' : control.isWhole ? 'N' : 'X',
      read: (text) => (kind === 'choice' ? text : text.trim() === '' ? Number.NaN : Number(text)),
    },
    help: `${label}: ${expectedOf(control)}`,
    defaultText: String(fallback),
  };
}

/** Loads MNIST from its files. @throws CommandFailure with exit code 2 if the files cannot be used */
async function loadDigits(directory: string | undefined): Promise<Digits> {
  try {
    const { train, test } = await loadMnist(directory);
    const [trainCount, testCount] = [train.count, test.count];
    if (trainCount >= fewDigits.train && testCount >= fewDigits.test) {
      return { train: labeledImages(train), test: labeledImages(test) };
    }
    const expected = `at least ${fewDigits.train} training images and ${fewDigits.test} test images`;
    throw new Error(`expected ${expected}, got ${trainCount} and ${testCount}`);
  } catch (error) {
    throw usageFailure(`${directory === undefined ? '' : '--data: '}${errorMessage(error)}`);
  }
}

/** Columns of a terminal that chapters fit. */
const columns = 80;

function wrapped(paragraph: string): string {
  const plain = partsOf(paragraph).map(({ text }) => text);
  return wrapText(plain.join(''), columns).join('\n');
}
