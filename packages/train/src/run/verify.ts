/** Repeats the steps of a run in one process, and compares the weights. */
import { bytesOf } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import type { Platform } from '../platform.ts';
import type { Prepared } from '../prepared.ts';
import type { Report } from '../record/report.ts';
import { thousands } from '../words.ts';
import { createRun, startInlineWorker } from './create-run.ts';

/** Whether the same steps in one process give the same weights. */
export interface Verification {
  /** As in the report. */
  readonly verified: boolean | null;
  /** One sentence if the weights differ. */
  readonly failure?: string;
}

export interface VerifyOptions {
  readonly prepared: Prepared;
  readonly platform: Platform;
  readonly report: Report;
  /** Whether the run took its last step. */
  readonly isFinished: boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** If the weights cannot be compared, says why before it spends the time. */
export async function verifyRun(options: VerifyOptions): Promise<Verification> {
  const { prepared, platform, report, isFinished, signal, log } = options;
  const fault = verificationFault(report, isFinished);
  if (fault !== undefined) {
    log(`not verified: ${fault}`);
    return { verified: null };
  }
  log(`Verifying: the same ${thousands(report.steps)} steps in one process`);
  const again = await trainAgain(prepared, platform, signal);
  if (again.type === 'interrupted') {
    log('not verified: the second run was interrupted');
    return { verified: null };
  }
  const { weightsSha256 } = report;
  if (again.type === 'finished' && again.weightsSha256 === weightsSha256) {
    log(`verified: one process gives the same weights ${weightsSha256}`);
    return { verified: true };
  }
  const got = again.type === 'finished' ? `weights ${again.weightsSha256}` : `a failure: ${again.message}`;
  return { verified: false, failure: `not the same: expected weights ${weightsSha256} from one process, got ${got}` };
}

/** Why the weights of a run cannot be compared with those of one process; undefined if they can. */
function verificationFault(
  { exactness, bitExactAmong }: Pick<Report, 'exactness' | 'bitExactAmong'>,
  isFinished: boolean,
): string | undefined {
  if (!isFinished) return 'the run did not reach its last step';
  switch (exactness) {
    case 'bit-exact':
      if (bitExactAmong === null) return undefined;
      return `only ${bitExactAmong} computed, which rounds differently than this process`;
    case 'sample-exact':
      return 'results were rounded differently than this process rounds, so equal bits cannot be expected';
    case 'unverified':
      return 'wrong results of a quarantined worker are in the weights';
    case null:
      return 'no step was taken';
    default:
      return exactness satisfies never;
  }
}

type Again =
  | { readonly type: 'finished'; readonly weightsSha256: string }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'interrupted' };

async function trainAgain(prepared: Prepared, platform: Platform, signal: AbortSignal): Promise<Again> {
  const opened = await openBackend('auto', platform.threads(prepared.threads));
  const backend: typeof opened.backend & { close?: () => Promise<void> } = opened.backend;
  // A single process cannot cross-check itself, so verification is off.
  const created = await createRun({ prepared: { ...prepared, verifyRate: 0 }, platform, backend, startWorkers: 1 });
  const { run, parameterServer } = created;
  const stop = (): void => run.stop('interrupted');
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const worker = await startInlineWorker(created, prepared, platform);
  const outcome = await run.outcome;
  await worker.stop();
  signal.removeEventListener('abort', stop);
  const weights = parameterServer.weights();
  await backend.close?.();
  if (outcome.type === 'finished') return { type: 'finished', weightsSha256: platform.sha256(bytesOf(weights)) };
  return signal.aborted ? { type: 'interrupted' } : outcome;
}
