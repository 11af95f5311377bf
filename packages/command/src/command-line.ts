/** Reads a program's command line by its table of options, and shows the table; any mistake gives one sentence. */
import { createRequire } from 'node:module';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { shownLine } from '@lockstep/data/shown';
import leven from 'leven';
import * as v from 'valibot';
import type { generalOptions } from './common-options.ts';
import {
  type CommandLine,
  groups,
  maxShownLength,
  type Option,
  type Options,
  textKind,
  type ValuesOf,
} from './option.ts';
import { commandText, usageFailure, wrapText } from './program.ts';

const manifest = createRequire(import.meta.url)('@lockstep/command/package.json') as { version: string };

/** The version of Lockstep, which all its packages share. */
export const { version } = manifest;

/**
 * The values of the options; undefined if help or the version was requested and printed.
 * @throws CommandFailure with exit code 2, naming the option, the expected value and the actual one
 */
export function readCommandLine<Table extends Options & typeof generalOptions>(
  { name, args: shownArgs, summary, options }: CommandLine<Table>,
  args: readonly string[],
): ValuesOf<Table> | undefined {
  const usage = commandText(name, shownArgs);
  requireDashes(usage, Object.keys(options), process.env);
  const values = parseOptions(options, args);
  const general: ValuesOf<typeof generalOptions> = values;
  if (general.help !== false) process.stdout.write(helpText(usage, summary, options, general.help === 'all'));
  else if (general.version) process.stdout.write(`${version}\n`);
  return general.help !== false || general.version ? undefined : values;
}

/** npm's own settings of the same names, which a user may have set for other reasons. */
const settingsOfNpm: ReadonlySet<string> = new Set(['browser', 'help', 'json', 'link', 'save', 'version']);

/** npm consumes options, into its environment, unless `--` precedes them. @throws CommandFailure that names them */
function requireDashes(usage: string, names: readonly string[], environment: NodeJS.ProcessEnv): void {
  const kept = names.filter(
    (name) => !settingsOfNpm.has(name) && environment[`npm_config_${name.replaceAll('-', '_')}`] !== undefined,
  );
  if (kept.length === 0) return;
  const options = kept.map((name) => `--${name}`).join(' and ');
  throw usageFailure(`${options}: npm needs -- before options: ${usage}`);
}

/** @throws CommandFailure with exit code 2, naming the option, the expected value and the actual one */
export function parseOptions<Table extends Options>(table: Table, args: readonly string[]): ValuesOf<Table> {
  const given = givenValues(table, args);
  if (!given['help'] && !given['version']) requireCompatible(table, given);
  const values = Object.entries(table).map(([name, option]) => [
    name,
    given[name] ?? (isSwitch(option) ? false : option.default),
  ]);
  return Object.fromEntries(values) as ValuesOf<Table>;
}

function isSwitch({ kind, placeholder = kind.placeholder }: Option): boolean {
  return placeholder === undefined;
}

type Given = Readonly<Record<string, unknown>>;

function givenValues(table: Options, args: readonly string[]): Given {
  const named = Object.fromEntries(Object.entries(table).filter(([, { isOperand }]) => !isOperand));
  const [operands] = Object.entries(table).filter(([, { isOperand }]) => isOperand);
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, option] of Object.entries(named)) {
    options[name] = { type: isSwitch(option) || option.isValueOptional ? 'boolean' : 'string' };
  }
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const given: Record<string, unknown> = {};
  const words: string[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'positional') {
      const previous = tokens[index - 1];
      const name = previous?.kind === 'option' && !previous.inlineValue ? nameOf(previous) : undefined;
      const option = name === undefined ? undefined : named[name];
      if (name !== undefined && option?.isValueOptional && v.is(option.kind.schema, token.value)) {
        given[name] = token.value;
        continue;
      }
      if (!operands) throw usageFailure(`${token.value}: expected an option that begins with --`);
      words.push(token.value);
    }
    if (token.kind !== 'option') continue;
    const { rawName } = token;
    const name = nameOf(token);
    // parseArgs would take the next option for the missing value.
    const value = token.inlineValue || !token.value?.startsWith('--') ? token.value : undefined;
    const option = Object.hasOwn(named, name) ? named[name] : undefined;
    if (!option || !(rawName === '-h' || rawName.startsWith('--')))
      throw usageFailure(unknownOption(rawName, Object.keys(named)));
    const before = given[name];
    if (before !== undefined && !option.isRepeatable) throw usageFailure(`${rawName}: given twice, expected once`);
    const read = readValue(option, rawName, value);
    given[name] = option.isRepeatable ? [...((before ?? []) as unknown[]), ...(read as unknown[])] : read;
  }
  if (operands) given[operands[0]] = words;
  return given;
}

function nameOf({ name, rawName }: { readonly name: string; readonly rawName: string }): string {
  return rawName === '-h' ? 'help' : name;
}

function readValue(option: Option, rawName: string, value: string | undefined): unknown {
  const { kind, placeholder = kind.placeholder } = option;
  if (isSwitch(option)) {
    if (value !== undefined) throw usageFailure(`${rawName}: takes no value, got ${value}`);
    return true;
  }
  if (value === undefined && option.isValueOptional) return true;
  if (value === undefined) throw usageFailure(`${rawName}: expected a value (${placeholder}), got none`);
  const read = kind.read(value);
  if (v.is(kind.schema, read)) return read;
  const got = `${shownLine(value, maxShownLength) || 'nothing'}${kind.advice?.(read) ?? ''}`;
  throw usageFailure(`${rawName}: expected ${kind.spelling ?? kind.expected}, got ${got}`);
}

function unknownOption(rawName: string, names: readonly string[]): string {
  const typed = rawName.replace(/^-+/, '');
  const nearest = [...names].sort((a, b) => leven(typed, a) - leven(typed, b))[0];
  const isTypo = nearest !== undefined && leven(typed, nearest) <= Math.min(2, typed.length - 1);
  return `${rawName}: unknown option; ${isTypo ? `did you mean --${nearest}? ` : ''}--help all lists every option`;
}

/** @throws CommandFailure if an option would be ignored because of another one, or without it */
function requireCompatible(table: Options, given: Given): void {
  // A value of 0, as in --workers 0, requests nothing.
  const isAsked = (words: string): boolean => {
    const [name = '', value] = words.split(' ');
    return given[name] !== undefined && given[name] !== 0 && (value === undefined || given[name] === value);
  };
  const asked = Object.entries(table).filter(([name]) => given[name] !== undefined);
  for (const [name, { without = {} }] of asked) {
    const [other, because] = Object.entries(without).find(([one]) => isAsked(one)) ?? [];
    if (other === undefined || !isAsked(name)) continue;
    throw usageFailure(`--${name}: cannot be combined with --${other}, ${because}`);
  }
  for (const [name, { with: needed }] of asked) {
    if (!needed || needed.oneOf.some((other) => given[other] !== undefined)) continue;
    throw usageFailure(`--${name}: requires ${needed.expected}`);
  }
}

/**
 * The values as nested objects by the library's paths, without omitted options and switches that are off.
 * @returns such as `{ seed: 1, optimizer: { clipNorm: 2 } }`
 */
export function libraryOptions(table: Options, values: Given): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, { library }] of Object.entries(table)) {
    const value = values[name];
    if (library === undefined || value === undefined || value === false) continue;
    const [last = '', ...objects] = library.split('.').reverse();
    let object = options;
    for (const key of objects.reverse()) {
      object[key] ??= {};
      object = object[key] as Record<string, unknown>;
    }
    object[last] = value;
  }
  return options;
}

/** Maps the library's option names to those of this command line, for `messageWith` of a ConfigurationError. */
export function commandLineNames(table: Options, values: Given): (path: string) => string {
  const byPath = new Map(Object.entries(table).map(([name, option]) => [option.library, { name, option }]));
  return (path) => {
    const { name, option } = byPath.get(path) ?? { name: path };
    return option?.isNamedWithValue && values[name] !== undefined ? `--${name} ${values[name]}` : `--${name}`;
  };
}

/** Columns of a terminal that help fits. */
const columns = 80;
/** Longer flags stand on a line of their own, so that the meanings keep their room. */
const maxFlagLength = 24;
/** A command with more options than this shows only the essential ones, unless all are requested. */
const mostShown = 24;

/** The text of `--help`. @param isComplete whether every option is requested, with `--help all` */
export function helpText(usage: string, summary: string, table: Options, isComplete = false): string {
  const isShort = !isComplete && Object.keys(table).length > mostShown;
  const shown = isShort ? Object.fromEntries(Object.entries(table).filter(([, one]) => one.isEssential)) : table;
  const flags = Object.entries(shown).map(([name, option]) => flagOf(name, option).length);
  const width = Math.max(...flags.filter((length) => length <= maxFlagLength)) + 2;
  const indent = `\n${' '.repeat(width + 2)}`;
  const sections = grouped(shown).map(([title, options]) => {
    const lines = options.map(([name, option]) => {
      const flag = flagOf(name, option);
      const value = defaultOf(option);
      const meaning = value === '' ? meaningOf(option) : `${meaningOf(option)} (default ${value})`;
      const start = flag.length <= maxFlagLength ? flag.padEnd(width) : `${flag}${indent}`;
      return `  ${start}${wrapText(meaning, columns - width - 2).join(indent)}\n`;
    });
    return `${title === undefined ? '' : `${title}:\n`}${lines.join('')}`;
  });
  const rest = isShort ? `\n--help all prints all ${Object.keys(table).length} options.\n` : '';
  return `${usage}\n\n${wrapLines(summary)}\n\n${sections.join('\n')}${rest}`;
}

/** Wraps each line on its own; the text of a list entry, such as `  name  meaning`, stays in its column. */
function wrapLines(summary: string): string {
  const lines = summary.split('\n').map((line) => {
    const [entry = '', rest = line] = /^( +\S+ {2,})(.*)$/.exec(line)?.slice(1) ?? [];
    return entry + wrapText(rest, columns - entry.length).join(`\n${' '.repeat(entry.length)}`);
  });
  return lines.join('\n');
}

/** A Markdown table for each group: names, meanings, expected values, and defaults. */
export function optionTables(table: Options): string {
  const sections = grouped(table).map(([title, options]) => {
    const rows = options.map(([name, option]) => {
      const { kind } = option;
      const expected =
        kind.placeholder === undefined || kind.schema === textKind.schema ? '' : (kind.spelling ?? kind.expected);
      const cells = [`\`${flagOf(name, option)}\``, option.help, expected, defaultOf(option)];
      return `|${cells.map((cell) => ` ${cell}`.replaceAll('|', '\\|').trimEnd()).join(' |')} |`;
    });
    return [
      ...(title === undefined ? [] : [`### ${title}\n`]),
      '| option | meaning | expected | default |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n');
  });
  return `${sections.join('\n\n')}\n`;
}

/** The options by group title, in the order of the groups; undefined for options without a group. */
function grouped(table: Options): [title: string | undefined, options: [string, Option][]][] {
  const titles = [undefined, ...Object.values(groups)];
  const titleOf = ({ group }: Option): string | undefined => group && groups[group];
  const sections = titles.map((title): [string | undefined, [string, Option][]] => [
    title,
    Object.entries(table).filter(([, option]) => titleOf(option) === title),
  ]);
  return sections.filter(([, options]) => options.length > 0);
}

/** Such as `--batch N`, or `FILE…` for operands. */
function flagOf(name: string, option: Option): string {
  const { kind, placeholder = kind.placeholder, isOperand = false, isValueOptional = false } = option;
  if (placeholder === undefined) return `--${name}`;
  if (isValueOptional) return `--${name} [${placeholder}]`;
  return isOperand ? placeholder : `--${name} ${placeholder}`;
}

function meaningOf({ help, kind }: Option): string {
  return kind.names ? `${help}: ${kind.names.join(', ')}` : help;
}

/** The default as shown to users; empty if there is none. */
function defaultOf({ default: value, defaultText, isOperand = false }: Option): string {
  return isOperand ? '' : (defaultText ?? String(value ?? ''));
}
