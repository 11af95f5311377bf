/** The options of `npm run bench`. */
import { type Command, generalOptions, list, oneOf, text, whole } from '@lockstep/command';
import { benchmarks } from './benchmarks/index.ts';

const names = benchmarks.map(({ name }) => name);
const width = Math.max(...names.map(({ length }) => length));

const summary = [
  'Measures Lockstep against its peers on this machine, interleaved, as medians of paired ratios. Benchmarks:',
  ...benchmarks.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
].join('\n');
const expected = `names of ${names.join(', ')} with commas between them, each once`;

export const benchCommand = {
  name: 'bench',
  args: '[options]',
  summary,
  options: {
    benchmark: {
      kind: list(oneOf(names), expected, 'NAME,…', { mayRepeat: false }),
      help: 'benchmarks to run, with commas between them',
      default: names,
      defaultText: 'all',
    },
    rounds: { kind: whole({ from: 1, to: 10_000 }), help: 'timed bursts of each candidate', default: 15 },
    report: { kind: text, placeholder: 'FILE.json', help: 'where to write every figure' },
    ...generalOptions,
  },
} as const satisfies Command;
