/** Checks of the arguments of calls. Every error is one sentence. */

/** Whether `value` is a safe integer of at least `least`. */
export function isWholeNumber(value: number, least = 0): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

/** Throws unless `value` is an unsigned 32-bit integer. */
export function checkWord(operation: string, what: string, value: number): void {
  if (!isWholeNumber(value) || value >= 2 ** 32) {
    throw new RangeError(`${operation}: the ${what} must be a whole number in [0, 2^32), got ${shown(value)}`);
  }
}

/** A kind of argument. */
export interface Kind {
  /** Completes "must be …". */
  readonly expected: string;
  accepts(value: unknown): boolean;
}

/** Any number, NaN and infinity included. */
export const number: Kind = { expected: 'a number', accepts: (value) => typeof value === 'number' };

export const boolean: Kind = { expected: 'true or false', accepts: (value) => typeof value === 'boolean' };

export const list: Kind = { expected: 'a list', accepts: Array.isArray };

/** Options of every reduction. */
export const reduceOptions: Readonly<Record<string, Kind>> = { axes: list, keepAxes: boolean };

export const callback: Kind = { expected: 'a function', accepts: (value) => typeof value === 'function' };

export const backendKind: Kind = {
  expected: 'a backend, which openBackend gives',
  accepts: (value) => isObject(value) && 'prepare' in value && 'allocate' in value,
};

export const storageKind: Kind = {
  expected: 'a storage, which a backend allocates',
  accepts: (value) => isObject(value) && 'length' in value && !Array.isArray(value),
};

export function wholeNumber(least: number): Kind {
  const accepts = (value: unknown): boolean => typeof value === 'number' && isWholeNumber(value, least);
  return { expected: `a whole number of at least ${least}`, accepts };
}

export function oneOf(...values: readonly string[]): Kind {
  const accepts = (value: unknown): boolean => typeof value === 'string' && values.includes(value);
  return { expected: listed(values, 'or'), accepts };
}

/** Lists names as in a sentence: "a, b or c". */
export function listed(names: readonly string[], conjunction: 'and' | 'or'): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} ${conjunction} ${names.at(-1)}`;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Formats any value for an error message: short, and never throws. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 64));
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `[${value.slice(0, 8).map(shown).join(', ')}${value.length > 8 ? ', …' : ''}]`;
  if (!isObject(value)) return String(value);
  if ('shape' in value && 'storage' in value) return `a tensor ${shown(value.shape)}`;
  return `{ ${Object.keys(value).slice(0, 8).join(', ')} }`;
}

/** Throws unless the kind accepts the value. */
export function checkArgument(operation: string, name: string, value: unknown, { expected, accepts }: Kind): void {
  if (accepts(value)) return;
  throw new Error(`${operation}: ${name} must be ${expected}, got ${shown(value)}`);
}

/** Throws unless `options` is an object with only these keys; an undefined value counts as omitted. */
export function checkOptions(operation: string, options: unknown, kinds: Readonly<Record<string, Kind>>): void {
  checkFields(operation, 'the options', options, kinds);
}

/** Same as `checkOptions`, for an object that the message calls `name`. */
export function checkFields(
  operation: string,
  name: string,
  fields: unknown,
  kinds: Readonly<Record<string, Kind>>,
): void {
  const names = listed(Object.keys(kinds), 'or');
  if (!isObject(fields) || Array.isArray(fields) || ('shape' in fields && 'storage' in fields)) {
    throw new Error(`${operation}: ${name} must be an object with ${names}, got ${shown(fields)}`);
  }
  for (const [key, value] of Object.entries(fields)) {
    const kind = kinds[key];
    if (kind === undefined) throw new Error(`${operation}: ${name} may have ${names}, got ${shown(key)}`);
    if (value !== undefined) checkArgument(operation, key, value, kind);
  }
}
