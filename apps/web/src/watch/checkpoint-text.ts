/** What a run's checkpoints mean to the person who watches it, in words. */
import { whole } from '../look/format.ts';
import type { RunStore } from './run-store.ts';

/** Of a run that went on from a checkpoint; empty for others. */
export function resumedText({ checkpoint }: Pick<RunStore, 'checkpoint'>): string {
  const { resumed } = checkpoint.value ?? {};
  return resumed ? `, resumed after step ${whole(resumed.step)}` : '';
}

/** How a run that was cut off can go on; empty unless it was and left a checkpoint. */
export function goesOnText({ checkpoint, status }: Pick<RunStore, 'checkpoint' | 'status'>): string {
  const { newest } = checkpoint.value ?? {};
  if (!newest || !cutOff.has(status.value.name)) return '';
  return `Started again with --resume, the run goes on after step ${whole(newest.step)}.`;
}

const cutOff: ReadonlySet<string> = new Set(['gone', 'stopped', 'failed']);
