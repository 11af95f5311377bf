/** Options as data: which values an option takes, how a command line spells them, and the error of an invalid one. */
import { printable, shownLine } from '@lockstep/data/shown';
import * as v from 'valibot';

/** A set of values that an option may take. */
export interface OptionKind<Value = unknown> {
  readonly schema: v.GenericSchema<unknown, Value>;
  /** Follows "expected" in a sentence, such as `a number above 0`. */
  readonly expected: string;
  /** Replaces `expected` on the command line, if values are spelled differently there. */
  readonly spelling?: string;
  /** Placeholder of the value in help, such as `N`; a switch has none. */
  readonly placeholder?: string;
  /** All values by name, for help. */
  readonly names?: readonly string[];
  /** Converts a command-line text to a value for `schema` to check. */
  readonly read: (text: string) => unknown;
  /** Advice to print after an invalid value; may be empty. */
  readonly advice?: (value: unknown) => string;
}

/** The groups of options in help, in their order. */
export const groups = {
  run: 'Run',
  data: 'Data',
  model: 'Model and optimizer',
  network: 'Network',
  distribution: 'Workers',
  output: 'Output',
  general: 'Help',
} as const;

/** One option of a command line and, through `library`, of a function such as `train`. */
export interface Option<Value = unknown> {
  readonly kind: OptionKind<Value>;
  readonly help: string;
  readonly group?: keyof typeof groups;
  /** Whether most people need the option: `--help` of a command with many options shows only such ones. */
  readonly isEssential?: boolean;
  /** Replaces the kind's placeholder. */
  readonly placeholder?: string;
  /** The value if the option is omitted. */
  readonly default?: unknown;
  /** Text for help of a default that depends on other options. */
  readonly defaultText?: string;
  /** Path of the same option in the library, such as `optimizer.clipNorm`. */
  readonly library?: string;
  /** Whether messages that name the option show its value too: the file from which a content was read. */
  readonly isNamedWithValue?: boolean;
  /**
   * Options, or values such as `data upload`, that make this one meaningless, each with the reason to print after it.
   */
  readonly without?: Readonly<Record<string, string>>;
  /** Options of which at least one must be given as well. */
  readonly with?: Requirement;
  /** Whether the values are the words that belong to no option. */
  readonly isOperand?: boolean;
  /** Whether the option may be given several times; its values are lists, which are joined. */
  readonly isRepeatable?: boolean;
  /** Whether the option is also valid without its value, as `--help` is; it is then `true`. */
  readonly isValueOptional?: boolean;
}

/** Other options that an option needs. */
interface Requirement {
  readonly oneOf: readonly string[];
  /** Follows "requires" in a sentence. */
  readonly expected: string;
}

/** The options of a command by their names. */
export type Options = Readonly<Record<string, Option>>;

/** An option of a table. */
export function option<Value, const Rest extends Omit<Option<Value>, 'kind' | 'help'>>(
  kind: OptionKind<Value>,
  help: string,
  rest: Rest = {} as Rest,
): { readonly kind: OptionKind<Value>; readonly help: string } & Rest {
  return { kind, help, ...rest };
}

/** The same options in a group. */
export function inGroup<const Table extends Options>(group: keyof typeof groups, table: Table): Table {
  return mapped(table, (one) => ({ ...one, group }));
}

/** The same options, which are also refused next to others. */
export function refusedBeside<const Table extends Options>(reasons: Option['without'], table: Table): Table {
  return mapped(table, (one) => ({ ...one, without: { ...one.without, ...reasons } }));
}

function mapped<Table extends Options>(table: Table, change: (one: Option) => Option): Table {
  return Object.fromEntries(Object.entries(table).map(([name, one]) => [name, change(one)])) as Table;
}

/** A command: `npm run NAME -- ARGS` in a clone of the repository. */
export interface CommandLine<Table extends Options = Options> {
  readonly name: string;
  /** Such as `[options]`. */
  readonly args: string;
  readonly summary: string;
  readonly options: Table;
}

type ValueOf<One> = One extends { readonly kind: OptionKind<infer Value> }
  ? Value | ([Value] extends [boolean] ? never : One extends { readonly default: unknown } ? never : undefined)
  : never;

/** The values that a command line gives to its options. */
export type ValuesOf<Table extends Options> = { readonly [Name in keyof Table]: ValueOf<Table[Name]> };

/** On or off; a switch on the command line. */
export const flagKind: OptionKind<boolean> = { schema: v.boolean(), expected: 'true or false', read: () => true };

/** Any text with a visible character. */
export const textKind = textLike('a text that is not empty', /\S/, 'NAME');

/** A text that matches a pattern. */
export function textLike(expected: string, pattern: RegExp, placeholder: string): OptionKind<string> {
  return { schema: v.pipe(v.string(), v.regex(pattern)), expected, placeholder, read: (value) => value };
}

/** A text sent in a single field of a message. */
export function lineKind(maxLength: number): OptionKind<string> {
  const schema = v.pipe(v.string(), v.maxLength(maxLength), v.regex(printable), v.regex(/\S/));
  const expected = `one line of 1 to ${maxLength} printable characters`;
  return { schema, expected, placeholder: 'NAME', read: (value) => value };
}

/** Ends of a range, both inclusive. */
interface Bounds {
  readonly from?: number;
  readonly to?: number;
}

/** A whole number; by default any from 0. */
export function wholeKind({ from = 0, to = Number.MAX_SAFE_INTEGER }: Bounds = {}): OptionKind<number> {
  return {
    schema: v.pipe(v.number(), v.safeInteger(), v.minValue(from), v.maxValue(to)),
    expected: `a whole number ${to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`}`,
    placeholder: 'N',
    read: (value) => (/^\d+$/.test(value) ? Number(value) : value),
  };
}

/** A finite number. @param range such as `above 0`, which `accepts` checks */
export function numberKind(range: string, accepts: (value: number) => boolean): OptionKind<number> {
  return {
    schema: v.pipe(v.number(), v.finite(), v.check(accepts)),
    expected: `a number ${range}`,
    placeholder: 'X',
    read: (value) => (value.trim() === '' ? value : Number(value)),
    advice: (value) => (value === Number.POSITIVE_INFINITY ? ', which is too large' : ''),
  };
}

export const positiveKind = numberKind('above 0', (value) => value > 0);
export const nonNegativeKind = numberKind('of at least 0', (value) => value >= 0);
export const fractionKind = numberKind('from 0 to 1', (value) => value >= 0 && value <= 1);
export const fractionBelowOneKind = numberKind('from 0 to below 1', (value) => value >= 0 && value < 1);

/** One of several names. */
export function oneOfKind<const Name extends string>(names: readonly Name[]): OptionKind<Name> {
  return {
    schema: v.picklist(names),
    expected: names.length === 1 ? names[0]! : `one of ${names.join(', ')}`,
    placeholder: 'NAME',
    names,
    read: (value) => value,
  };
}

/** A comma-separated list. @param expected describes the list; it says so if no value may repeat */
export function listKind<Item>(
  item: OptionKind<Item>,
  expected: string,
  placeholder: string,
  { mayRepeat = true }: { readonly mayRepeat?: boolean } = {},
): OptionKind<readonly Item[]> {
  const repeatsRightly = (items: Item[]): boolean => mayRepeat || new Set(items).size === items.length;
  return {
    schema: v.pipe(v.array(item.schema), v.check(repeatsRightly)),
    expected,
    placeholder,
    read: (value) => value.split(',').map((part) => item.read(part.trim())),
  };
}

/** A value of either kind; the command line tries the first kind first. */
export function eitherKind<One, Other>(one: OptionKind<One>, other: OptionKind<Other>): OptionKind<One | Other> {
  return {
    schema: v.union([one.schema, other.schema]),
    expected: `${one.expected}, or ${other.expected}`,
    placeholder: `${one.placeholder}|${other.names?.join('|') ?? other.placeholder}`,
    read: (value) => (v.is(one.schema, one.read(value)) ? one.read(value) : other.read(value)),
  };
}

/** Values that a predicate accepts. */
export function kindOf<Value>(expected: string, accepts: (value: unknown) => boolean): OptionKind<Value> {
  return { schema: v.custom<Value>(accepts), expected, read: (value) => value };
}

/** Functions, which a command line cannot give. */
export function functionKind<Value>(): OptionKind<Value> {
  return kindOf('a function', (value) => typeof value === 'function');
}

/** Objects, which a command line cannot give. */
export function objectKind<Value extends object>(
  expected: string,
  accepts: (value: object) => boolean = () => true,
): OptionKind<Value> {
  return kindOf(expected, (value) => typeof value === 'object' && value !== null && accepts(value));
}

/** A coordinator's socket address, as the coordinator prints it. */
export const socketUrl = address(/^wss?:\/\/[^/]/);
/** A coordinator's socket or page address, as the coordinator prints it. */
export const joinUrl = address(/^(ws|http)s?:\/\/[^/]/);

function address(pattern: RegExp): OptionKind<string> {
  const schema = v.pipe(v.string(), v.regex(pattern), v.check(URL.canParse));
  return { schema, expected: 'an address like ws://127.0.0.1:7070', placeholder: 'URL', read: (value) => value };
}

/** The words of a command line that belong to no option, such as files to read. */
export function operands(placeholder: string, help: string) {
  const kind: OptionKind<readonly string[]> = { ...listKind(textKind, 'words', placeholder), read: (value) => [value] };
  return { kind, help, default: [], isOperand: true } as const;
}

/** An option in a sentence, with its value if the sentence needs it, such as `backend cpu`. */
export interface NamedOption {
  readonly option: string;
  readonly value?: string;
}

/** Names an option in a sentence of `configurationError`: each reader sees their own name for it. */
export function optionName(option: string, value?: string): NamedOption {
  return value === undefined ? { option } : { option, value };
}

/** Longer than any list of options. */
export const maxMessageLength = 4_000;

type Part = string | number | NamedOption;

/** An impossible request: one sentence with the expected value and the actual one. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  /** The first option in the sentence. */
  readonly option: string | undefined;
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    super(textOf(parts, (option) => option));
    this.#parts = parts;
    this.option = parts.find((part) => typeof part === 'object')?.option;
  }

  /** The same sentence with other option names, such as those of a command line. */
  messageWith(nameOf: (option: string) => string): string {
    return textOf(this.#parts, nameOf);
  }
}

/** A template tag: `${named('batch')}: expected at most 10, got ${batch}`. */
export function configurationError(texts: TemplateStringsArray, ...values: Part[]): ConfigurationError {
  return new ConfigurationError(texts.flatMap((text, index) => [text, values[index] ?? '']));
}

function textOf(parts: readonly Part[], nameOf: (option: string) => string): string {
  const words = parts.map((part) => {
    if (typeof part !== 'object') return `${part}`;
    const name = nameOf(part.option);
    // A reader's name for an option may include the value.
    return part.value === undefined || name.endsWith(` ${part.value}`) ? name : `${name} ${part.value}`;
  });
  return shownLine(words.join(''), maxMessageLength);
}

/** Kinds of a library's options by path; `a.b` is the option `b` in the object `a`. */
type Kinds = Readonly<Record<string, OptionKind>>;

/** A kind for each option of a function, or of the object at a prefix, such as `listen.`. */
export type KindsOf<Library, Prefix extends string = ''> = {
  readonly [Key in keyof Library & string as `${Prefix}${Key}`]-?: OptionKind<Library[Key]>;
};

type LibraryKinds<Table extends Options> = {
  readonly [Name in keyof Table as Table[Name] extends { readonly library: infer Path extends string }
    ? Path
    : never]: Table[Name]['kind'];
};

/** Kinds of the options in a table that the library has as well. */
export function libraryKinds<Table extends Options>(table: Table): LibraryKinds<Table> {
  const known = Object.values(table).flatMap(({ library, kind }) => (library === undefined ? [] : [[library, kind]]));
  return Object.fromEntries(known);
}

/**
 * Checks each option of a library's function on its own.
 * @throws ConfigurationError if an option is unknown, or its value is not of its kind
 */
export function checkKinds(options: object, kinds: Kinds, prefix = ''): void {
  if (typeof options !== 'object' || options === null) {
    throw configurationError`options: expected an object, got ${shown(options)}`;
  }
  for (const [key, value] of Object.entries(options)) {
    const path = `${prefix}${key}`;
    const kind = Object.hasOwn(kinds, path) ? kinds[path] : undefined;
    const inner = keysBelow(kinds, `${path}.`);
    if (!kind && inner.length === 0) {
      throw configurationError`${optionName(path)}: unknown option; the options are ${keysBelow(kinds, prefix).join(', ')}`;
    }
    if (value === undefined || (kind && v.is(kind.schema, value))) continue;
    if (inner.length > 0 && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      checkKinds(value, kinds, `${path}.`);
      continue;
    }
    const object = inner.length > 0 ? [`an object with some of ${inner.join(', ')}`] : [];
    const expected = [...(kind ? [kind.expected] : []), ...object].join(', or ');
    throw configurationError`${optionName(path)}: expected ${expected}, got ${shown(value)}${kind?.advice?.(value) ?? ''}`;
  }
}

function keysBelow(kinds: Kinds, prefix: string): readonly string[] {
  const below = Object.keys(kinds).filter((path) => path.startsWith(prefix));
  return [...new Set(below.map((path) => path.slice(prefix.length).split('.')[0]!))];
}

/** Most characters of a wrong value that an error shows. */
export const maxShownLength = 80;
const mostListed = 20;

/** An object that contains objects is shown only by its keys: it may hold a whole data set. */
function shown(value: unknown): string {
  if (typeof value === 'string') return shownLine(JSON.stringify(value), maxShownLength);
  if (typeof value !== 'object' || value === null) return shownLine(String(value), maxShownLength) || 'nothing';
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${value.byteLength} bytes`;
  if (Array.isArray(value) && value.length > mostListed) return `a list of ${value.length}`;
  const isFlat = Object.values(value).every((part) => typeof part !== 'object' || part === null);
  const content = isFlat ? JSON.stringify(value) : `an object with ${Object.keys(value).join(', ')}`;
  return shownLine(content, maxShownLength);
}
