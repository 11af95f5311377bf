/** Options that have no effect with another one, or without it: each pair is refused in one sentence. */
import { isGiven, usageFailure } from '@lockstep/command';
import { uploadedData } from '@lockstep/train/command-line';
import type { CoordinatorOptions } from './options.ts';

type Name = keyof CoordinatorOptions & string;

interface Exclusion {
  readonly beside: Name;
  /** The reason that the others mean nothing next to that option; follows its name. */
  readonly because: string;
  readonly names: readonly Name[];
}

const serving: readonly Name[] = [
  ...(['host', 'port', 'token', 'token-file', 'public-view', 'tls', 'tls-cert', 'tls-key', 'allow-origin'] as const),
  ...(['wait-for-start', 'chaos', 'stay', 'fleet', 'standby', 'announce', 'addresses'] as const),
];

const exclusions: readonly Exclusion[] = [
  { beside: 'single', because: 'which opens no socket', names: [...serving, 'colocate'] },
  { beside: 'single', because: 'which computes in this process alone', names: ['workers', 'verify-rate'] },
  {
    beside: 'fleet',
    because: 'which keeps the checkpoints and goes on from the newest',
    names: ['checkpoint', 'resume'],
  },
  {
    beside: 'summary',
    because: 'which trains nothing',
    names: [...serving, 'save', 'report', 'verify', 'checkpoint', 'checkpoint-every', 'resume', 'init'],
  },
];

interface Need {
  readonly names: readonly Name[];
  /** Any of them will do. */
  readonly with: readonly Name[];
  /** The phrase after "expected with". */
  readonly expected: string;
}

const needs: readonly Need[] = [
  {
    names: ['standby', 'announce', 'run', 'fleet-credentials', 'fleet-ca'],
    with: ['fleet'],
    expected: '--fleet URL, whose option it is',
  },
  { names: ['resume'], with: ['checkpoint'], expected: '--checkpoint DIR, the folder of the checkpoints' },
  {
    names: ['checkpoint-every'],
    with: ['checkpoint', 'fleet'],
    expected: '--checkpoint DIR, the folder of the checkpoints',
  },
  {
    names: ['inner-lr', 'inner-momentum'],
    with: ['replicas', 'inner-steps'],
    expected: '--replicas M or --inner-steps H, whose inner steps it is of',
  },
];

/** @throws CommandFailure with exit code 2 if an option would be ignored */
export function requireCompatible(options: CoordinatorOptions): void {
  // None of something, as with --workers 0, asks for nothing.
  const isAsked = (name: Name): boolean => isGiven(options, name) && options[name] !== 0;
  for (const { beside, because, names } of exclusions) {
    const name = isAsked(beside) ? names.find(isAsked) : undefined;
    if (name !== undefined) throw usageFailure(`--${name}: expected without --${beside}, ${because}`);
  }
  for (const { names, with: others, expected } of needs) {
    const name = others.some((other) => isGiven(options, other))
      ? undefined
      : names.find((one) => isGiven(options, one));
    if (name !== undefined) throw usageFailure(`--${name}: expected with ${expected}`);
  }
  requireValues(options);
}

/** Options some of whose values mean nothing next to another option. */
function requireValues({ single, summary, data }: CoordinatorOptions): void {
  if (data === uploadedData && (single || summary)) {
    const because = single ? '--single, which opens no socket' : '--summary, which trains nothing';
    throw usageFailure(`--data ${uploadedData}: expected without ${because}`);
  }
}
