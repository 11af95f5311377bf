/** Reads a command line by a table of options; what does not fit is one sentence. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import leven from 'leven';
import { usageFailure } from './failure.ts';
import { Expected, type Options, type ValuesOf } from './option.ts';

/** Options that the command line names, by the values that were parsed from it. */
const namesOfValues = new WeakMap<object, ReadonlySet<string>>();

/** Whether the command line itself gives the option, even if its value is the default. */
export function isGiven<Values extends object>(values: Values, name: keyof Values & string): boolean {
  return namesOfValues.get(values)?.has(name) ?? false;
}

/** @throws CommandFailure with exit code 2, naming the option, what was expected and what came. */
export function parseOptions<Table extends Options>(table: Table, args: readonly string[]): ValuesOf<Table> {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  const named = Object.fromEntries(Object.entries(table).filter(([, { isOperand }]) => !isOperand));
  const [operands] = Object.entries(table).filter(([, { isOperand }]) => isOperand);
  const words: string[] = [];
  for (const [name, { placeholder }] of Object.entries(named)) {
    options[name] = { type: placeholder === undefined ? 'boolean' : 'string' };
  }
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const values: Record<string, unknown> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') {
      if (!operands) throw usageFailure(`${token.value}: expected an option that begins with --`);
      words.push(token.value);
    }
    if (token.kind !== 'option') continue;
    const { rawName } = token;
    const name = rawName === '-h' ? 'help' : token.name;
    // parseArgs would take the next option for the missing value of this one.
    const value = token.inlineValue || !token.value?.startsWith('--') ? token.value : undefined;
    const option = Object.hasOwn(named, name) ? named[name] : undefined;
    if (!option || !(rawName === '-h' || rawName.startsWith('--')))
      throw usageFailure(unknownOption(rawName, Object.keys(named)));
    if (name in values) throw usageFailure(`${rawName}: given twice, expected once`);
    values[name] = readValue(option, rawName, value);
  }
  if (operands) values[operands[0]] = words;
  namesOfValues.set(values, new Set(Object.keys(values)));
  for (const [name, { fallback }] of Object.entries(table)) values[name] ??= fallback;
  return values as ValuesOf<Table>;
}

function readValue(option: Options[string], rawName: string, value: string | undefined): unknown {
  if (option.placeholder === undefined) {
    if (value !== undefined) throw usageFailure(`${rawName}: takes no value, got ${value}`);
    return true;
  }
  if (value === undefined) throw usageFailure(`${rawName}: expected a value (${option.placeholder}), got none`);
  try {
    return option.parse(value);
  } catch (error) {
    if (error instanceof Expected)
      throw usageFailure(`${rawName}: expected ${error.message}, got ${value || 'nothing'}`);
    throw error;
  }
}

function unknownOption(rawName: string, names: readonly string[]): string {
  const typed = rawName.replace(/^-+/, '');
  const nearest = [...names].sort((a, b) => leven(typed, a) - leven(typed, b))[0];
  const isTypo = nearest !== undefined && leven(typed, nearest) <= Math.min(2, typed.length - 1);
  return `${rawName}: unknown option; ${isTypo ? `did you mean --${nearest}? ` : ''}--help lists them all`;
}
