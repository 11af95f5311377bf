/** The options of `npm run bench`. */
import { Expected, generalOptions, textOption, wholeNumber, withFallback } from '@lockstep/command';
import { benchmarks } from './benchmarks/index.ts';
import { listOption } from './list-option.ts';

const names = benchmarks.map(({ name }) => name);
const width = Math.max(...names.map(({ length }) => length));

export const usage = 'npm run bench -- [options]';
export const summary = [
  'Measures Lockstep against its peers on this machine, interleaved, as medians of paired ratios. Benchmarks:',
  ...benchmarks.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
].join('\n');

export const benchOptions = {
  benchmark: withFallback(listOption('NAME,…', 'benchmarks to run, with commas between them', readName), names, 'all'),
  rounds: withFallback(wholeNumber('timed bursts of each candidate', { from: 1, to: 10_000 }), 15),
  report: textOption('FILE.json', 'where to write every figure'),
  ...generalOptions,
};

function readName(text: string): string {
  if (!names.includes(text)) throw new Expected(`names of ${names.join(', ')} with commas between them`);
  return text;
}
