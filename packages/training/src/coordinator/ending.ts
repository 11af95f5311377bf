/** How a run ends: everybody is sent home with a sentence, and the shell learns whether it is whole. */
import type { Draft } from './draft.ts';
import { depart } from './membership.ts';
import type { ConnectionId } from './state.ts';

export function hasEnded(draft: Draft): boolean {
  return draft.phase === 'finished' || draft.phase === 'failed';
}

/** Every step has been taken. */
export function finishRun(draft: Draft): void {
  draft.phase = 'finished';
  dismiss(draft, 'the run is finished');
  draft.effects.push({ type: 'finished' });
}

/** The run stops before its last step. */
export function endRun(draft: Draft, sentence: string): void {
  if (hasEnded(draft)) return;
  draft.phase = 'failed';
  dismiss(draft, sentence);
  draft.effects.push({ type: 'failed', sentence });
}

/** Answers a connection that was opened after the run ended. */
export function turnAway(draft: Draft, connection: ConnectionId): void {
  const sentence = 'the run has ended';
  draft.effects.push({ type: 'send', connection, message: { type: 'finish', sentence } });
  draft.effects.push({ type: 'close', connection, code: 1000, reason: sentence });
}

function dismiss(draft: Draft, sentence: string): void {
  for (const connection of [...draft.connections.values()]) {
    const message = { type: 'finish', sentence } as const;
    draft.effects.push({ type: 'send', connection: connection.connection, message });
    depart(draft, connection, sentence, 1000);
  }
}
