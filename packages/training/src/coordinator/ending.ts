/** How a run ends: everybody is sent home with a sentence, and the shell learns whether it is whole. */
import type { Draft } from './draft.ts';
import { disconnect } from './membership.ts';
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
export function endRun(draft: Draft, message: string): void {
  if (hasEnded(draft)) return;
  draft.phase = 'failed';
  dismiss(draft, message);
  draft.effects.push({ type: 'failed', message });
}

/** Answers a connection that was opened after the run ended. */
export function turnAway(draft: Draft, connection: ConnectionId): void {
  const message = 'the run has ended';
  draft.effects.push({ type: 'send', connection, message: { type: 'finish', message } });
  draft.effects.push({ type: 'close', connection, code: 1000, reason: message });
}

function dismiss(draft: Draft, message: string): void {
  for (const connection of [...draft.connections.values()]) {
    const finish = { type: 'finish', message } as const;
    draft.effects.push({ type: 'send', connection: connection.connection, message: finish });
    disconnect(draft, connection, message, 1000);
  }
}
