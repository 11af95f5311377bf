/** Checks the options of a run, each by itself; a wrong one is one sentence that names it. */
import { shownLine } from '@lockstep/files/shown';
import { type OptimizerType, optimizers, schedules } from '@lockstep/nn';
import { isPrintableLine } from '@lockstep/protocol';
import { computeChoices, configurationError, named } from '@lockstep/worker';

/** Both ends included. */
interface Bounds {
  readonly from: number;
  readonly to?: number;
}

/** Of options that are whole numbers. */
export const optionBounds = {
  batch: { from: 1, to: 1_000_000 },
  expect: { from: 1, to: 512 },
  microbatch: { from: 1, to: 1_000_000 },
  epochs: { from: 1, to: 1_000_000 },
  steps: { from: 1 },
  replicas: { from: 1, to: 1_024 },
  innerSteps: { from: 1, to: 100_000 },
  seed: { from: 0, to: 2 ** 32 - 1 },
  threads: { from: 1, to: 256 },
  workers: { from: 0, to: 256 },
  warmupSteps: { from: 0 },
  port: { from: 0, to: 65_535 },
} as const satisfies Readonly<Record<string, Bounds>>;

export const optimizerTypes = Object.keys(optimizers) as OptimizerType[];
export const gradientFormats = ['exact', 'fp16-exact'] as const;

interface Rule {
  /** What follows "expected". */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /** Advice to print after a value that is not accepted; may be empty. */
  readonly advice?: (value: unknown) => string;
}

interface Rules {
  readonly [option: string]: Rule | Rules;
}

function whole({ from, to }: Bounds): Rule {
  const expected = to === undefined ? `a whole number of at least ${from}` : `a whole number from ${from} to ${to}`;
  const accepts = (value: unknown): boolean =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= from && value <= (to ?? value);
  return { expected, accepts };
}

function number(expected: string, accepts: (value: number) => boolean): Rule {
  return {
    expected: `a number ${expected}`,
    accepts: (value) => typeof value === 'number' && Number.isFinite(value) && accepts(value),
  };
}

function oneOf(names: readonly string[]): Rule {
  return {
    expected: names.length === 1 ? names[0]! : `one of ${names.join(', ')}`,
    accepts: (value) => typeof value === 'string' && names.includes(value),
  };
}

function text(expected: string, pattern: RegExp): Rule {
  return { expected, accepts: (value) => typeof value === 'string' && pattern.test(value) };
}

function lineOf(maxLength: number): Rule {
  return {
    expected: `one line of 1 to ${maxLength} printable characters`,
    accepts: (value) => typeof value === 'string' && isPrintableLine(value, maxLength),
  };
}

function either(...rules: readonly Rule[]): Rule {
  const expected = rules.map((rule) => rule.expected).join(', or ');
  return { expected, accepts: (value) => rules.some(({ accepts }) => accepts(value)) };
}

function instance(expected: string, accepts: (value: object) => boolean = () => true): Rule {
  return { expected, accepts: (value) => typeof value === 'object' && value !== null && accepts(value) };
}

const flag: Rule = { expected: 'true or false', accepts: (value) => typeof value === 'boolean' };
const name = text('a text that is not empty', /\S/);
const action: Rule = { expected: 'a function', accepts: (value) => typeof value === 'function' };
const line = lineOf(256);
const positive = number('above 0', (value) => value > 0);
const interval = instance('{ steps } or { minutes }, a number above 0', (value) => {
  const [[unit, count] = [], ...others] = Object.entries(value);
  const isCount = typeof count === 'number' && count > 0 && count <= 2 ** 32;
  return others.length === 0 && isCount && (unit === 'minutes' || (unit === 'steps' && Number.isInteger(count)));
});
const origin = /^https?:\/\/[^/]+$/;
const origins: Rule = {
  expected: 'a list of origins like https://page.example',
  accepts: (value) =>
    Array.isArray(value) &&
    value.every(
      (one) => typeof one === 'string' && origin.test(one) && URL.canParse(one) && new URL(one).origin === one,
    ),
};
const shared = instance('what a fleet gives', (value) => 'open' in value && 'list' in value && 'write' in value);
const certificate = instance('{ cert, key }, both PEM texts', (value) =>
  ['cert', 'key'].every((part) => typeof (value as Record<string, unknown>)[part] === 'string'),
);

const optimizerRules = {
  type: oneOf(optimizerTypes),
  learningRate: positive,
  momentum: number('from 0 to below 1', (value) => value >= 0 && value < 1),
  nesterov: flag,
  weightDecay: number('of at least 0', (value) => value >= 0),
  schedule: either(oneOf(Object.keys(schedules)), instance('a schedule as an object')),
  warmupSteps: whole(optionBounds.warmupSteps),
  clipNorm: positive,
};

const dilocoRules = {
  replicas: whole(optionBounds.replicas),
  innerSteps: whole(optionBounds.innerSteps),
  learningRate: positive,
  momentum: number('from 0 to below 1', (value) => value >= 0 && value < 1),
};

const listenRules = {
  host: name,
  port: whole(optionBounds.port),
  token: line,
  tls: either(flag, certificate),
  publicView: flag,
  allowOrigins: origins,
  waitForStart: flag,
  faultInjection: flag,
  stay: flag,
  saveTo: name,
  workerCommand: line,
  server: instance('an http.Server', (value) => 'listeners' in value),
  path: text('a path like /lockstep', /^(\/[\w.~-]+)+$/),
};

const rules: Rules = {
  data: {
    ...either(
      name,
      instance('{ train, test }', (value) => 'train' in value && 'test' in value),
    ),
    advice: (value) => {
      const isDataset = typeof value === 'object' && value !== null && 'samples' in value && 'targets' in value;
      return isDataset ? ': splitDataset(data) cuts one data set into both' : '';
    },
  },
  model: either(name, instance('a model as an object')),
  initialWeights: instance('the bytes of a model file', (value) => value instanceof Uint8Array),
  optimizer: optimizerRules,
  batch: either(whole(optionBounds.batch), oneOf(['auto'])),
  expect: whole(optionBounds.expect),
  microbatch: whole(optionBounds.microbatch),
  epochs: whole(optionBounds.epochs),
  steps: whole(optionBounds.steps),
  seed: whole(optionBounds.seed),
  backend: oneOf(computeChoices),
  threads: whole(optionBounds.threads),
  diloco: dilocoRules,
  gradients: oneOf(gradientFormats),
  verifyRate: number('from 0 to 1', (value) => value >= 0 && value <= 1),
  workers: whole(optionBounds.workers),
  colocate: flag,
  listen: listenRules,
  checkpoint: { folder: name, store: shared, every: interval, resume: flag },
  onStep: action,
  signal: instance('an AbortSignal', (value) => value instanceof AbortSignal),
};

const { host, port, token, tls, allowOrigins } = listenRules;

const relayRules: Rules = {
  name: lineOf(80),
  token: line,
  fingerprint: text('a SHA-256 in hex', /^[0-9a-f:]{64,95}$/i),
  threads: whole(optionBounds.threads),
  workers: whole(optionBounds.workers),
  backend: oneOf(computeChoices),
  wait: flag,
  listen: { host, port, token, tls, allowOrigins },
  announce: text('the address of a WebSocket without secrets', /^wss?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/),
  signal: instance('an AbortSignal', (value) => value instanceof AbortSignal),
};

/** What may stand for an object of options. */
const shorthands: Readonly<Record<string, Rule>> = {
  optimizer: oneOf(optimizerTypes),
  diloco: flag,
  listen: flag,
  checkpoint: name,
};

/** Those of a relay. @throws ConfigurationError where an option is unknown, or not of its kind */
export function checkRelayOptions(options: object): void {
  checkAll(options, relayRules, '');
}

/** @throws ConfigurationError where an option is unknown, or not of its kind */
export function checkOptions(options: object): void {
  checkAll(options, rules, '');
}

function checkAll(options: object, table: Rules, prefix: string): void {
  for (const [key, value] of Object.entries(options)) {
    const rule = Object.hasOwn(table, key) ? table[key] : undefined;
    const option = `${prefix}${key}`;
    if (rule && value !== undefined) checkOne(option, value, rule);
    // Each optimizer has settings of its own, which its schema checks.
    if (rule || table === optimizerRules) continue;
    throw configurationError`${named(option)}: unknown option; there are ${Object.keys(table).join(', ')}`;
  }
}

function checkOne(option: string, value: unknown, rule: Rule | Rules): void {
  if (isRule(rule)) {
    if (rule.accepts(value)) return;
    const advice = rule.advice?.(value) ?? '';
    throw configurationError`${named(option)}: expected ${rule.expected}, got ${shown(value)}${advice}`;
  }
  const shorthand = rule === relayRules['listen'] ? undefined : shorthands[option];
  if (shorthand?.accepts(value)) return;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    checkAll(value, rule, `${option}.`);
    return;
  }
  const others = shorthand ? `${shorthand.expected}, or ` : '';
  const names = Object.keys(rule).join(', ');
  throw configurationError`${named(option)}: expected ${others}an object with some of ${names}, got ${shown(value)}`;
}

function isRule(rule: Rule | Rules): rule is Rule {
  return typeof rule['accepts'] === 'function';
}

const maxShownLength = 80;
const mostListed = 20;

/** An object with others in it by its keys alone: it may hold a whole data set. */
function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return shownLine(String(value), maxShownLength) || 'nothing';
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${value.byteLength} bytes`;
  if (Array.isArray(value) && value.length > mostListed) return `a list of ${value.length}`;
  const isFlat = Object.values(value).every((part) => typeof part !== 'object' || part === null);
  const text = isFlat ? JSON.stringify(value) : `an object with ${Object.keys(value).join(', ')}`;
  return shownLine(text, maxShownLength);
}
