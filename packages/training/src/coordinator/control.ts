/**
 * What a person does with a run: start, pause, resume.
 *
 * A paused run takes results and assigns shards of its current step, but does not take the step. So when and how often
 * it was paused changes nothing but the time.
 */
import { type Draft, emit, isAnyReady } from './draft.ts';
import { hasEnded } from './ending.ts';
import type { ControlAction } from './events.ts';

export function control(draft: Draft, action: ControlAction): void {
  if (hasEnded(draft)) return;
  switch (action) {
    case 'start':
      draft.startRequested = true;
      resume(draft);
      return;
    case 'pause':
      if (draft.pauseRequested) return;
      draft.pauseRequested = true;
      emit(draft, { type: 'pauseRequested' });
      return;
    case 'resume':
      resume(draft);
      return;
    default:
      action satisfies never;
  }
}

function resume(draft: Draft): void {
  if (!draft.pauseRequested) return;
  draft.pauseRequested = false;
  // With a worker that is ready, the run itself reports that it goes on.
  if (draft.phase === 'paused' && !isAnyReady(draft)) emit(draft, { type: 'paused' });
}
