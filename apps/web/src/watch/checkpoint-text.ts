/** Explains a run's checkpoints in words, for the person who watches it. */
import { whole } from '../look/format.ts';
import type { RunStore } from './run-store.ts';

/** Says from which step a run was resumed; empty if it was not resumed. */
export function resumedText({ checkpoint }: Pick<RunStore, 'checkpoint'>): string {
  const { resumed } = checkpoint.value ?? {};
  return resumed ? `, resumed after step ${whole(resumed.step)}` : '';
}

/** Says how an interrupted run can be continued; empty unless the run was interrupted and left a checkpoint. */
export function goesOnText({ checkpoint, status }: Pick<RunStore, 'checkpoint' | 'status'>): string {
  const { newest } = checkpoint.value ?? {};
  if (!newest || !cutOff.has(status.value.name)) return '';
  return `Started again with --resume, the run goes on after step ${whole(newest.step)}.`;
}

const cutOff: ReadonlySet<string> = new Set(['gone', 'stopped', 'failed']);
