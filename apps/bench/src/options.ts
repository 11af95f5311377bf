/** The command line of the bench, checked: options, their help, and the sentence for each way to get them wrong. */
import { parseArgs } from 'node:util';

export interface Options {
  /** Names of the questions to ask, in the order of the table. */
  readonly questions: readonly string[];
  readonly rounds: number;
  readonly report: string | undefined;
  readonly help: boolean;
}

export const defaultRounds = 15;
const maximumRounds = 10_000;

/** A command line that cannot be followed; the message is one sentence for the person who typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Reads the arguments after the script's name. `known` are the names that `--question` may have. Throws `UsageError`. */
export function parseOptions(args: readonly string[], known: readonly string[]): Options {
  const values = parsed(args);
  const unknown = values.question?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`--question: expected ${alternatives(known)}, got '${unknown}'`);
  }
  if (values.report === '') throw new UsageError("--report: expected the path of a JSON file, got ''");
  return {
    questions: values.question === undefined ? known : known.filter((name) => values.question?.includes(name)),
    rounds: values.rounds === undefined ? defaultRounds : wholeRounds(values.rounds),
    report: values.report,
    help: values.help ?? false,
  };
}

/** What `--help` prints, without a last line break. */
export function helpText(questions: readonly { readonly name: string; readonly title: string }[]): string {
  return [
    'Usage: npm run bench -- [options]',
    '',
    'Measures Lockstep against its peers on this machine, interleaved, as medians of paired ratios.',
    '',
    'Options:',
    '  --question NAME   ask this question only; may be given again (default: all)',
    `  --rounds N        timed bursts of each contender (default: ${defaultRounds})`,
    '  --report FILE     write everything that was measured to FILE as JSON',
    '  --help            print this',
    '',
    'Questions:',
    ...questions.map(({ name, title }) => `  ${name.padEnd(17)} ${title}`),
  ].join('\n');
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        question: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        report: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    // Node's first sentence names the argument; what follows is advice about another kind of command line.
    const [message] = (error as Error).message.split(/\. |\n/);
    throw new UsageError(`${message?.replace(/\.$/, '')}; see --help`);
  }
}

function wholeRounds(text: string): number {
  const rounds = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (rounds >= 1 && rounds <= maximumRounds) return rounds;
  throw new UsageError(`--rounds: expected a whole number from 1 to ${maximumRounds}, got '${text}'`);
}

function alternatives(names: readonly string[]): string {
  const quoted = names.map((name) => `'${name}'`);
  return quoted.length === 1 ? quoted.join() : `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}
