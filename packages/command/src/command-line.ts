/** Reads a program's command line; help and the version are printed here. */

import { requireDashes } from './forgotten-dashes.ts';
import { helpText } from './help.ts';
import { type Options, switchOption, type ValuesOf } from './option.ts';
import { parseOptions } from './parse.ts';
import { version } from './version.ts';

export interface CommandLine<Table extends Options> {
  readonly usage: string;
  readonly summary: string;
  readonly options: Table;
}

/** What every command answers to; `-h` is short for `--help`. */
export const generalOptions = {
  help: switchOption('print these options'),
  version: switchOption('print the version'),
};

/**
 * The values of the options; undefined where help or the version was asked for and printed.
 * @throws CommandFailure with exit code 2, naming the option, what was expected and what came
 */
export function readCommandLine<Table extends Options & typeof generalOptions>(
  { usage, summary, options }: CommandLine<Table>,
  args: readonly string[],
): ValuesOf<Table> | undefined {
  requireDashes(usage, Object.keys(options), process.env);
  const values = parseOptions(options, args);
  const general: ValuesOf<typeof generalOptions> = values;
  if (general.help) process.stdout.write(helpText(usage, summary, options));
  else if (general.version) process.stdout.write(`${version}\n`);
  return general.help || general.version ? undefined : values;
}
