/** What one option is, and the kinds of values that options take. */
import { printable } from '@lockstep/files/shown';

/** Thrown by `Option.parse`: what was wrong with a value, as the phrase that follows "expected". */
export class Expected extends Error {}

export interface Option<Value> {
  /** How help shows the value, such as `N`; a switch, which takes no value, has none. */
  readonly placeholder?: string;
  readonly description: string;
  /** The value where the option is not given. */
  readonly fallback: Value;
  /** How help shows the default, where that is not the fallback itself: one that depends on other options. */
  readonly defaultText?: string;
  /** Whether it is not given by its name: its value is the list of all words that belong to no option. */
  readonly isOperand?: boolean;
  /** @throws Expected where the text is no such value. */
  readonly parse: (text: string) => Value;
}

export type Options = Readonly<Record<string, Option<unknown>>>;

export type ValuesOf<Table extends Options> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer Value> ? Value : never;
};

/** The same option with another value where it is not given, which help shows as `defaultText`. */
export function withFallback<Value, const Fallback>(
  option: Option<Value>,
  fallback: Fallback,
  defaultText?: string,
): Option<Exclude<Value, undefined> | Fallback> {
  const parse = option.parse as Option<Exclude<Value, undefined>>['parse'];
  return { ...option, fallback, parse, ...(defaultText === undefined ? {} : { defaultText }) };
}

/** The same option, whose default depends on other options: help shows it as `defaultText`. */
export function withDefaultText<Value>(option: Option<Value>, defaultText: string): Option<Value> {
  return { ...option, defaultText };
}

export function switchOption(description: string): Option<boolean> {
  return { description, fallback: false, parse: () => true };
}

export function textOption(placeholder: string, description: string): Option<string | undefined> {
  return valueOption(placeholder, description, 'a text that is not empty', (text) =>
    text.trim() === '' ? undefined : text,
  );
}

/** What stands on the command line without an option before it, such as files to read. */
export function operands(placeholder: string, description: string): Option<readonly string[]> {
  return { placeholder, description, fallback: [], isOperand: true, parse: (text) => [text] };
}

/** A text that travels in one field of a message. */
export function lineOption(placeholder: string, description: string, maxLength: number): Option<string | undefined> {
  return valueOption(placeholder, description, `one line of 1 to ${maxLength} printable characters`, (text) =>
    text.trim() !== '' && text.length <= maxLength && printable.test(text) ? text : undefined,
  );
}

/** A whole number, `from` and `to` included. */
export function wholeNumber(
  description: string,
  { from = 0, to = Number.MAX_SAFE_INTEGER }: { readonly from?: number; readonly to?: number } = {},
): Option<number | undefined> {
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`;
  return valueOption('N', description, `a whole number ${range}`, (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return Number.isSafeInteger(value) && value >= from && value <= to ? value : undefined;
  });
}

export function positiveNumber(description: string): Option<number | undefined> {
  return numberOption(description, 'a number above 0', (value) => value > 0);
}

/** A number of at least `from` and, where `below` is given, less than that. */
export function numberFrom(
  description: string,
  { from, below }: { readonly from: number; readonly below?: number },
): Option<number | undefined> {
  const range = below === undefined ? `of at least ${from}` : `from ${from} to below ${below}`;
  return numberOption(
    description,
    `a number ${range}`,
    (value) => value >= from && (below === undefined || value < below),
  );
}

/** A part of a whole, from none of it to all of it. */
export function fraction(description: string): Option<number | undefined> {
  return numberOption(description, 'a number from 0 to 1', (value) => value >= 0 && value <= 1);
}

export function choice<const Name extends string>(
  names: readonly Name[],
  description: string,
): Option<Name | undefined> {
  const list = names.join(', ');
  return valueOption('NAME', `${description}: ${list}`, `one of ${list}`, (text) =>
    names.find((name) => name === text),
  );
}

/** The address of a coordinator, as it prints it: that of its socket or, to join it, that of its page. */
export function coordinatorUrl(description: string, schemes: 'socket' | 'socket or page'): Option<string | undefined> {
  const address = schemes === 'socket' ? /^wss?:\/\/[^/]/ : /^(ws|http)s?:\/\/[^/]/;
  return valueOption('URL', description, 'an address like ws://127.0.0.1:7070', (text) =>
    address.test(text) && URL.canParse(text) ? text : undefined,
  );
}

/** An option without a default, whose `read` returns undefined where the text is not what was `expected`. */
function valueOption<Value>(
  placeholder: string,
  description: string,
  expected: string,
  read: (text: string) => Value | undefined,
): Option<Value | undefined> {
  const parse = (text: string): Value => {
    const value = read(text);
    if (value === undefined) throw new Expected(expected);
    return value;
  };
  return { placeholder, description, fallback: undefined, parse };
}

function numberOption(description: string, expected: string, accepts: (value: number) => boolean) {
  return valueOption('X', description, expected, (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    return Number.isFinite(value) && accepts(value) ? value : undefined;
  });
}
