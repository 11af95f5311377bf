/** How a run ends: every connection is closed with a message, and the shell learns whether the run is complete. */
import type { MessageOf } from '@lockstep/protocol';
import { disconnect } from './disconnect.ts';
import { type Draft, send } from './draft.ts';
import type { ConnectionId } from './state.ts';

export function hasEnded(draft: Draft): boolean {
  return draft.phase === 'finished' || draft.phase === 'failed';
}

/** Every step has been taken. */
export function finishRun(draft: Draft): void {
  draft.phase = 'finished';
  draft.endedAtMs = draft.nowMs;
  closeAll(draft, 'the run is finished');
  draft.effects.push({ type: 'finished' });
}

/** The run stops before its last step. @param anotherMayFollow as the setup says where left out */
export function endRun(draft: Draft, message: string, anotherMayFollow?: boolean): void {
  if (hasEnded(draft)) return;
  draft.phase = 'failed';
  draft.endedAtMs = draft.nowMs;
  closeAll(draft, message, anotherMayFollow);
  draft.effects.push({ type: 'failed', message });
}

/** Answers a connection that was opened after the run had ended. */
export function closeLateArrival(draft: Draft, connection: ConnectionId): void {
  const message = 'the run has ended';
  send(draft, connection, finishOf(draft, message));
  draft.effects.push({ type: 'close', connection, code: 1000, reason: message });
}

function finishOf({ setup }: Draft, message: string, anotherMayFollow = setup.anotherMayFollow): MessageOf<'finish'> {
  return { type: 'finish', message, ...(anotherMayFollow === true && { anotherMayFollow }) };
}

function closeAll(draft: Draft, message: string, anotherMayFollow?: boolean): void {
  for (const connection of [...draft.connections.values()]) {
    send(draft, connection.connection, finishOf(draft, message, anotherMayFollow));
    disconnect(draft, connection, message, 1000);
  }
}
