/** Findings of an audit: which step of a run is wrong, who is to blame, and how people are told. */
import { thousands } from '@lockstep/data/shown';
import { shortHash } from '@lockstep/record';
import { type RunPlan, usedMicrobatches } from '@lockstep/rules';
import { decodeShards, type Transcript } from './read-transcript.ts';

/**
 * A fault of a run that an audit has found; `step` counts from 1.
 * `leader` signed it; omitted unless a fleet had several.
 */
export type Finding = { readonly leader?: string } & Fault;

type Fault =
  /** Results of some of the step's shards differ from this machine's; rounding may hide that from the state after it. */
  | {
      readonly type: 'results';
      readonly step: number;
      readonly shards: readonly WrongShard[];
      readonly isStateRight: boolean;
    }
  /** The results of all of several shards differ: the samples or the weights were others. */
  | { readonly type: 'everyResult'; readonly step: number }
  /** All results are right, and the weights or the optimizer's state after the step are wrong. */
  | { readonly type: 'optimizer'; readonly step: number }
  /** The shards do not cover each microbatch once. */
  | { readonly type: 'skipped'; readonly step: number }
  /** The gradient is not finite on this machine. */
  | { readonly type: 'notFinite'; readonly step: number }
  /** The run did not begin with its initial weights. */
  | { readonly type: 'beginning' }
  /** The weights or the optimizer's state that a seal states after a step, or at the end, are others. */
  | { readonly type: 'state'; readonly step: number };

/** A shard whose result is wrong, and the worker that sent it. */
export interface WrongShard {
  readonly lo: number;
  readonly n: number;
  /** Such as `w2 laptop`; `the coordinator` for its own. */
  readonly worker: string;
}

/** Returns a worker as sentences name it. @param number 0 for the coordinator */
export function nameOf({ workers }: Transcript, number: number): string {
  const worker = workers[number - 1];
  if (!worker) return 'the coordinator';
  const { id, name, kind } = worker;
  return `${id} ${name}${kind === 'relay' ? ', a relay that answers for its workers' : ''}`;
}

/** Names a leader for a finding; nothing if there was only one. */
export function leaderIn({ leaders }: Transcript, index: number): Pick<Finding, 'leader'> {
  const { name, publicKey } = leaders[index]!;
  return leaders.length === 1 ? {} : { leader: `${name ?? '?'}, key ${shortHash(publicKey)}` };
}

/** Returns a finding as one sentence for people. */
export function sentenceOf(transcript: Transcript, plan: RunPlan, finding: Finding): string {
  if (finding.type === 'beginning')
    return 'The run did not begin with the weights of its seed, or of the file it names';
  const signed = finding.leader === undefined ? '' : ` (signed by the leader ${finding.leader})`;
  const step = `Step ${thousands(finding.step)}${signed} is wrong`;
  switch (finding.type) {
    case 'results':
      return `${step}: ${wrongResults(transcript, plan, finding)}`;
    case 'everyResult':
      return `${step}: the results of all its shards differ from this machine's, so the run used other samples or other weights than it claims`;
    case 'optimizer':
      return `${step}: all its results are right but the state after it is not, so the coordinator added the results or took the optimizer step wrongly`;
    case 'skipped':
      return `${step}: its shards do not cover each microbatch once, so the coordinator skipped samples or used some twice`;
    case 'notFinite':
      return `${step}: its gradient is not finite on this machine, but the run went on`;
    case 'state':
      return `The state after step ${thousands(finding.step)}${signed} is wrong: all steps before it are right, but the coordinator states other weights or another state of the optimizer`;
    default:
      return finding satisfies never;
  }
}

function wrongResults(
  { steps }: Transcript,
  plan: RunPlan,
  { step, shards, isStateRight }: Extract<Finding, { type: 'results' }>,
): string {
  const used = usedMicrobatches(plan, step - 1);
  const places = shards.map(({ lo, n }) => {
    const last = Math.min(lo + n, used) - 1;
    return last > lo ? `${lo} to ${last}` : `${lo}`;
  });
  const workers = [...new Set(shards.map(({ worker }) => worker))];
  const single = shards.length === 1 && !places[0]!.includes(' ');
  const where = `${single ? 'microbatch' : 'microbatches'} ${places.join(', ')}`;
  const what = `the result of ${workers.join(' and ')} for ${where} differs from this machine's`;
  if (isStateRight)
    return `${what}, but the weights after the step do not: rounding hid it, or only the record is false`;
  const others = decodeShards(steps[step - 1]!).length - shards.length;
  if (others === 0) return `${what}: it is false, or the run used other samples or other weights than it claims`;
  return `${what}, and the other ${others === 1 ? 'result is' : `${thousands(others)} results are`} right`;
}
