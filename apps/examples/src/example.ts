/** The examples' command line: lists the chapters and programs, or runs one of them. */
import {
  commandText,
  dataOptions,
  formatTable,
  generalOptions,
  type Options,
  readCommandLine,
  usageFailure,
} from '@lockstep/command';
import {
  type Chapter,
  chapters,
  type Exhibit,
  type LessonContext,
  type LiveDefinition,
  LiveRun,
} from '@lockstep/lesson';
import { openBackend } from '@lockstep/tensor';
import { controlOptions, givenLiveSettings, givenSettings } from './control-options.ts';
import { loadDigits } from './digits.ts';
import { type Program, programs } from './programs.ts';
import { wrapped } from './terminal/paragraph.ts';
import { printExhibit } from './terminal/print.ts';

const name = 'example';
const usage = commandText(name, 'NAME [options]');

/** @returns the exit code */
export async function example(args: readonly string[]): Promise<number> {
  const [asked, ...rest] = args;
  if (asked === undefined || asked.startsWith('-')) return list(args);
  const chapter = chapters.find(({ id }) => id === asked);
  if (chapter) return runChapter(chapter, rest);
  const program = programs.find((one) => one.name === asked);
  if (program) return runProgram(program, rest);
  const names = [...chapters.map(({ id }) => id), ...programs.map((one) => one.name)];
  throw usageFailure(`${asked}: expected one of ${names.join(', ')}`);
}

function list(args: readonly string[]): number {
  const summary = `Runs a chapter of the lesson, or a program.\n${names()}`;
  if (!readCommandLine({ name, args: 'NAME [options]', summary, options: generalOptions }, args)) return 0;
  process.stdout.write(`${usage}\n${names()}\n`);
  return 0;
}

function names(): string {
  const lesson = chapters.map(({ id, title }) => [id, title]);
  const toCopy = programs.map(({ name, title }) => [name, title]);
  const [first, second] = [lesson, toCopy].map((rows) => formatTable([{}, {}], rows, '  '));
  return [
    'Chapters of the lesson, with options that NAME --help lists:',
    first,
    'Programs to copy, in apps/examples/src/programs:',
    second,
  ].join('\n');
}

async function runProgram({ name: program, title, run }: Program, args: readonly string[]): Promise<number> {
  const summary = `${title}: apps/examples/src/programs/${program}.ts`;
  if (!readCommandLine({ name, args: program, summary, options: generalOptions }, args)) return 0;
  await run();
  return 0;
}

async function runChapter(chapter: Chapter, args: readonly string[]): Promise<number> {
  const data = { ...dataOptions.data, placeholder: 'DIR', help: 'folder with four IDX files, plain or .gz' } as const;
  const table: Options = { ...controlOptions(chapter), ...(chapter.digits ? { data } : {}) };
  const line = {
    name,
    args: `${chapter.id} [options]`,
    summary: chapter.claim,
    options: { ...table, ...generalOptions },
  };
  const options = readCommandLine(line, args) as Readonly<Record<string, unknown>> | undefined;
  if (!options) return 0;
  const digits = chapter.digits ? await loadDigits(options['data'] as string | undefined) : undefined;
  const { backend } = await openBackend('auto');
  process.stdout.write(`${chapter.title}\n${wrapped(chapter.claim)}\n`);
  const context = { backend, digits, nowMs: () => performance.now() };
  const [frames, last] = lastOf(chapter.exhibits(context, givenSettings(chapter, options)));
  for (const paragraph of chapter.text) process.stdout.write(`\n${wrapped(paragraph)}\n`);
  for (const exhibit of last) process.stdout.write(`\n${printExhibit(exhibit)}\n`);
  if (chapter.live) runLive(context, chapter.live, givenLiveSettings(chapter.live, options));
  if (chapter.live) process.stdout.write('\nOn the page, #learn changes this curve while it grows.\n');
  else if (frames > 1) process.stdout.write('\nOn the page, #learn shows this while it computes.\n');
  return 0;
}

/** Trains to the end of the curve. */
function runLive(context: LessonContext, live: LiveDefinition, settings: ReturnType<typeof givenLiveSettings>): void {
  const run = new LiveRun(context, live, settings);
  try {
    while (run.advance());
    for (const exhibit of run.exhibits()) process.stdout.write(`\n${printExhibit(exhibit)}\n`);
  } finally {
    run.dispose();
  }
}

function lastOf(all: Iterable<readonly Exhibit[]>): [number, readonly Exhibit[]] {
  let frames = 0;
  let last: readonly Exhibit[] = [];
  for (const exhibits of all) {
    frames++;
    last = exhibits;
  }
  return [frames, last];
}
