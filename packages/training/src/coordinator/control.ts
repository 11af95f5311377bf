/**
 * What a person does with a run: holding it, letting it go, and making trouble for a worker.
 *
 * A run that is held takes results and hands out shards of the step that it is at, but does not take the step. So when
 * it was held, and how often, changes nothing but the time.
 */
import { type Draft, emit } from './draft.ts';
import { hasEnded } from './ending.ts';
import type { ControlAction, CoordinatorEvent } from './events.ts';

export function control(draft: Draft, action: ControlAction): void {
  if (hasEnded(draft)) return;
  switch (action) {
    case 'start':
      draft.startAsked = true;
      letGo(draft);
      return;
    case 'pause':
      if (draft.pauseRequested) return;
      draft.pauseRequested = true;
      emit(draft, { type: 'pauseRequested' });
      return;
    case 'resume':
      letGo(draft);
      return;
    default:
      action satisfies never;
  }
}

function letGo(draft: Draft): void {
  if (!draft.pauseRequested) return;
  draft.pauseRequested = false;
  // With somebody there, the run says itself that it goes on.
  const anybody = [...draft.connections.values()].some(({ phase }) => phase === 'ready');
  if (draft.phase === 'paused' && !anybody) emit(draft, { type: 'paused' });
}

export function injectFault(draft: Draft, event: Extract<CoordinatorEvent, { type: 'injectFault' }>): void {
  if (draft.setup.faultInjection !== true || hasEnded(draft)) return;
  const { workerId, action, forMs } = event;
  for (const connection of draft.connections.values()) {
    if (connection.workerId !== workerId) continue;
    draft.effects.push({
      type: 'send',
      connection: connection.connection,
      message: { type: 'injectFault', action, forMs },
    });
    emit(draft, { type: 'injectFault', workerId, action });
  }
}
