/**
 * What a person does with a run: holding it, letting it go, and making trouble for a worker.
 *
 * A run that is held takes results and hands out blocks of the step that it is at, but does not take the step. So when
 * it was held, and how often, changes nothing but the time.
 */
import { type Draft, notice } from './draft.ts';
import { hasEnded } from './ending.ts';
import type { CoordinatorEvent, Steering } from './events.ts';

export function steer(draft: Draft, action: Steering): void {
  if (hasEnded(draft)) return;
  switch (action) {
    case 'start':
      draft.startAsked = true;
      letGo(draft);
      return;
    case 'pause':
      if (draft.held) return;
      draft.held = true;
      notice(draft, { type: 'held' });
      return;
    case 'resume':
      letGo(draft);
      return;
    default:
      action satisfies never;
  }
}

function letGo(draft: Draft): void {
  if (!draft.held) return;
  draft.held = false;
  // With somebody there, the run says itself that it goes on.
  const anybody = [...draft.connections.values()].some(({ phase }) => phase === 'ready');
  if (draft.phase === 'paused' && !anybody) notice(draft, { type: 'paused' });
}

export function makeTrouble(draft: Draft, event: Extract<CoordinatorEvent, { type: 'chaos' }>): void {
  if (draft.setup.chaos !== true || hasEnded(draft)) return;
  const { workerId, action, forMs } = event;
  for (const connection of draft.connections.values()) {
    if (connection.workerId !== workerId) continue;
    draft.effects.push({ type: 'send', connection: connection.connection, message: { type: 'chaos', action, forMs } });
    notice(draft, { type: 'chaos', workerId, action });
  }
}
