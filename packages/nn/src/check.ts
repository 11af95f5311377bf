/** Checks of plain data. Every error is one sentence. */
import * as v from 'valibot';

/**
 * Returns `value` as the schema's type.
 * Throws an Error such as "model: layers[0].units: expected a whole number, got 1.5".
 */
export function check<Output>(what: string, schema: v.GenericSchema<unknown, Output>, value: unknown): Output {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = issue.path ? pathText(issue.path) : '';
  throw new Error(`${what}: ${path === '' ? '' : `${path}: `}${issueText(issue)}`);
}

/** Schema for a whole number from `minimum` to `maximum`, both included. */
export function wholeNumberFrom(minimum: number, maximum: number) {
  const message = `expected a whole number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(message), v.integer(message), v.minValue(minimum, message), v.maxValue(maximum, message));
}

/** Schema for a finite number that passes `test`; `message` says what was expected. */
export function finiteNumber(message: string, test: (value: number) => boolean) {
  return v.pipe(v.number(message), v.finite(message), v.check(test, message));
}

export const positive = finiteNumber('expected a number above 0', (value) => value > 0);
export const nonNegative = finiteNumber('expected a number of at least 0', (value) => value >= 0);
export const fraction = finiteNumber('expected a number from 0 to 1', (value) => value >= 0 && value <= 1);
export const fractionBelowOne = finiteNumber('expected a number from 0 to below 1', (value) => value >= 0 && value < 1);

function pathText(path: readonly v.IssuePathItem[]): string {
  let text = '';
  for (const { key } of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}

function issueText(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' || issue.type === 'object') {
    if (issue.expected === 'never') return 'there is no such entry';
    if (issue.expected?.startsWith('"')) return 'this entry is missing';
  }
  const message = issue.message.startsWith('Invalid ') ? `expected ${alternatives(issue.expected)}` : issue.message;
  // The message of a check over several settings already names them.
  const coversSeveral = issue.type === 'check' && typeof issue.input === 'object';
  return coversSeveral ? message : `${message}, got ${shown(issue.input)}`;
}

/** Rewords valibot's notation for a choice, `("dense" | "relu")`. */
function alternatives(expected: string | null): string {
  return (expected ?? 'something else').replace(/^\((.*)\)$/, '$1').replaceAll(' | ', ' or ');
}

function shown(input: unknown): string {
  if (input === undefined) return 'nothing';
  if (Array.isArray(input)) return `a list of ${input.length}`;
  if (typeof input === 'object' && input !== null) return 'an object';
  const text = typeof input === 'string' ? JSON.stringify(input) : String(input);
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`;
}
