/** Where the time of each step goes, gathered from what passes between the coordinator and its workers. */
import type { StepTimes } from '@lockstep/train';
import type { Trace } from '@lockstep/training';

export interface StepTimesGatherer {
  trace(trace: Trace): void;
  /** The optimizer has taken this step, `atMs`. */
  stepped(step: number, atMs: number): void;
  /** Medians over the last steps; undefined before the second step. */
  times(): StepTimes | undefined;
}

/** What one worker's part of a step looked like from here; times in milliseconds. */
interface Share {
  readonly askedAtMs: number;
  arrivedAtMs: number;
  computeMs: number;
  turnaroundMs: number;
}

const parts = ['step', 'pack', 'send', 'compute', 'wait', 'reduce', 'optimizer'] as const;
type Sample = Readonly<Record<(typeof parts)[number], number>>;

/** Steps that are remembered, so that a long run stays small. */
const mostSteps = 4_096;

/**
 * A step runs from the end of the one before it to its own end. The mean worker is followed through it: asked, holding
 * the shard, answering; then the last answer is waited for, the sum made whole, and the optimizer's step taken. So the
 * parts follow one another and add up to the step.
 */
export function createStepTimes(): StepTimesGatherer {
  const samples: Sample[] = [];
  let added = 0;
  let shares = new Map<string, Share>();
  let current = 0;
  let beganAtMs: number | undefined;
  let wholeAtMs: number | undefined;

  const share = (workerId: string, askedAtMs: number): Share => {
    const known = shares.get(workerId);
    if (known) return known;
    const fresh: Share = { askedAtMs, arrivedAtMs: Number.NaN, computeMs: 0, turnaroundMs: 0 };
    shares.set(workerId, fresh);
    return fresh;
  };

  return {
    trace(trace) {
      if (trace.step < current) return;
      switch (trace.type) {
        case 'asked':
          share(trace.workerId, trace.atMs);
          return;
        case 'answered': {
          const { arrivedAtMs, computeMs, turnaroundMs } = trace;
          const own = share(trace.workerId, beganAtMs ?? arrivedAtMs);
          own.arrivedAtMs = arrivedAtMs;
          own.computeMs += computeMs;
          // A worker with several shards has held the last one since it had all of them.
          own.turnaroundMs = Math.max(own.turnaroundMs, turnaroundMs ?? own.computeMs, own.computeMs);
          return;
        }
        case 'whole':
          wholeAtMs = trace.atMs;
          return;
        default:
          trace satisfies never;
      }
    },
    stepped(step, atMs) {
      if (beganAtMs !== undefined && wholeAtMs !== undefined) {
        const sample = sampleOf([...shares.values()], beganAtMs, wholeAtMs, atMs);
        if (sample) samples[added++ % mostSteps] = sample;
      }
      beganAtMs = atMs;
      wholeAtMs = undefined;
      shares = new Map();
      current = step + 1;
    },
    times() {
      if (samples.length === 0) return undefined;
      const medianMs = (part: keyof Sample): number => median(samples.map((sample) => sample[part]));
      return {
        steps: samples.length,
        stepMs: medianMs('step'),
        packMs: medianMs('pack'),
        sendMs: medianMs('send'),
        computeMs: medianMs('compute'),
        waitMs: medianMs('wait'),
        reduceMs: medianMs('reduce'),
        optimizerMs: medianMs('optimizer'),
      };
    },
  };
}

function sampleOf(shares: readonly Share[], beganAtMs: number, wholeAtMs: number, atMs: number): Sample | undefined {
  const answered = shares.filter(({ arrivedAtMs }) => Number.isFinite(arrivedAtMs));
  if (answered.length === 0) return undefined;
  const mean = (value: (share: Share) => number): number =>
    answered.reduce((sum, share) => sum + value(share), 0) / answered.length;
  const arrivedAtMs = mean((share) => share.arrivedAtMs);
  const lastArrivedAtMs = Math.max(...answered.map((share) => share.arrivedAtMs));
  const compute = mean((share) => Math.min(share.computeMs, outMs(share)));
  const held = mean((share) => Math.min(share.turnaroundMs, outMs(share)));
  const asked = mean((share) => share.askedAtMs);
  return {
    step: atMs - beganAtMs,
    pack: asked - beganAtMs + held - compute,
    send: arrivedAtMs - asked - held,
    compute,
    wait: lastArrivedAtMs - arrivedAtMs,
    reduce: wholeAtMs - lastArrivedAtMs,
    optimizer: atMs - wholeAtMs,
  };
}

/** From asking to the answer's arrival: more than this no worker has held or computed, whatever it says. */
function outMs({ askedAtMs, arrivedAtMs }: Share): number {
  return arrivedAtMs - askedAtMs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
