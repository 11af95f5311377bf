/** What one option is, and the kinds of values that options take. */

/** What was wrong with a value: the phrase that follows "expected". */
export class Expected extends Error {}

export interface Option<Value> {
  /** How help shows the value, such as `N`; a switch, which takes no value, has none. */
  readonly placeholder?: string;
  readonly description: string;
  /** The value where the option is not given. */
  readonly fallback: Value;
  /** @throws Expected where the text is no such value. */
  readonly parse: (text: string) => Value;
}

export type Options = Readonly<Record<string, Option<unknown>>>;

export type ValuesOf<Table extends Options> = {
  readonly [Name in keyof Table]: Table[Name] extends Option<infer Value> ? Value : never;
};

/** The same option with another value where it is not given. */
export function withFallback<Value, const Fallback>(
  option: Option<Value>,
  fallback: Fallback,
): Option<Exclude<Value, undefined> | Fallback> {
  return { ...option, fallback, parse: option.parse as Option<Exclude<Value, undefined>>['parse'] };
}

export function switchOption(description: string): Option<boolean> {
  return { description, fallback: false, parse: () => true };
}

export function textOption(placeholder: string, description: string): Option<string | undefined> {
  const parse = (text: string): string => {
    if (text.trim() === '') throw new Expected('a text that is not empty');
    return text;
  };
  return { placeholder, description, fallback: undefined, parse };
}

/** A text that travels in one field of a message. */
export function lineOption(placeholder: string, description: string, maxLength: number): Option<string | undefined> {
  const parse = (text: string): string => {
    const isLine = text.trim() !== '' && text.length <= maxLength && /^\P{C}*$/u.test(text);
    if (!isLine) throw new Expected(`one line of 1 to ${maxLength} printable characters`);
    return text;
  };
  return { placeholder, description, fallback: undefined, parse };
}

export function wholeNumber(
  description: string,
  { from = 0, to = Number.MAX_SAFE_INTEGER }: { readonly from?: number; readonly to?: number } = {},
): Option<number | undefined> {
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`;
  const parse = (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < from || value > to) throw new Expected(`a whole number ${range}`);
    return value;
  };
  return { placeholder: 'N', description, fallback: undefined, parse };
}

export function positiveNumber(description: string): Option<number | undefined> {
  const parse = (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value) || value <= 0) throw new Expected('a number above 0');
    return value;
  };
  return { placeholder: 'X', description, fallback: undefined, parse };
}

/** A number of at least `from` and, where `below` is given, less than that. */
export function numberFrom(
  description: string,
  { from, below }: { readonly from: number; readonly below?: number },
): Option<number | undefined> {
  const range = below === undefined ? `of at least ${from}` : `from ${from} to below ${below}`;
  const parse = (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    const fits = Number.isFinite(value) && value >= from && (below === undefined || value < below);
    if (!fits) throw new Expected(`a number ${range}`);
    return value;
  };
  return { placeholder: 'X', description, fallback: undefined, parse };
}

export function choice<const Name extends string>(
  names: readonly Name[],
  description: string,
): Option<Name | undefined> {
  const parse = (text: string): Name => {
    const found = names.find((name) => name === text);
    if (found === undefined) throw new Expected(`one of ${names.join(', ')}`);
    return found;
  };
  return { placeholder: 'NAME', description: `${description}: ${names.join(', ')}`, fallback: undefined, parse };
}

/** The address of a coordinator, as it prints it. */
export function webSocketUrl(description: string): Option<string | undefined> {
  const parse = (text: string): string => {
    const isAddress = /^wss?:\/\/[^/]/.test(text) && URL.canParse(text);
    if (!isAddress) throw new Expected('an address like ws://127.0.0.1:7070');
    return text;
  };
  return { placeholder: 'URL', description, fallback: undefined, parse };
}
