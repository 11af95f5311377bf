/** Turns what a schema finds wrong into one sentence. */
import * as v from 'valibot';

/** `value` as the schema's type, or an Error such as "model: layers[0].units: expected a whole number, got 1.5". */
export function check<Output>(what: string, schema: v.GenericSchema<unknown, Output>, value: unknown): Output {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = issue.path ? pathText(issue.path) : '';
  throw new Error(`${what}: ${path === '' ? '' : `${path}: `}${issueText(issue)}`);
}

/** A whole number between bounds, both included. */
export function wholeNumber(minimum: number, maximum: number) {
  const sentence = `expected a whole number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(sentence), v.integer(sentence), v.minValue(minimum, sentence), v.maxValue(maximum, sentence));
}

/** A finite number that passes `test`; `sentence` says what was expected. */
export function finiteNumber(sentence: string, test: (value: number) => boolean) {
  return v.pipe(v.number(sentence), v.finite(sentence), v.check(test, sentence));
}

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
  const sentence = issue.message.startsWith('Invalid ') ? `expected ${alternatives(issue.expected)}` : issue.message;
  // A check over several settings names them itself.
  const isWhole = issue.type === 'check' && typeof issue.input === 'object';
  return isWhole ? sentence : `${sentence}, got ${shown(issue.input)}`;
}

/** valibot writes a choice as `("dense" | "relu")`. */
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
