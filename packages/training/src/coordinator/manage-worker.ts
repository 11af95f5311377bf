/** What a person does with one worker: renames it, removes it, makes it fail on purpose. */
import { disconnect } from './disconnect.ts';
import { type Draft, emit, send, updateRecord } from './draft.ts';
import { hasEnded } from './ending.ts';
import type { CoordinatorEvent } from './events.ts';
import type { Connection } from './state.ts';

type EventOf<Type> = Extract<CoordinatorEvent, { type: Type }>;

function connectionsOf(draft: Draft, workerId: string): Connection[] {
  return [...draft.connections.values()].filter((connection) => connection.workerId === workerId);
}

/** The name stays when the worker comes back under its identity. */
export function rename(draft: Draft, { workerId, name }: EventOf<'rename'>): void {
  const record = draft.records.get(workerId);
  if (!record || record.name === name) return;
  updateRecord(draft, workerId, { name, renamed: true });
  emit(draft, { type: 'renamed', workerId, before: record.name });
}

/** Ends its connection as a refusal does, after which a worker does not come back by itself. */
export function remove(draft: Draft, { workerId }: EventOf<'remove'>): void {
  if (hasEnded(draft)) return;
  for (const connection of connectionsOf(draft, workerId)) {
    const message = 'the owner of this run has removed this worker';
    send(draft, connection.connection, { type: 'refuse', code: 'removed', message });
    const isAnnounced = connection.hasBeenReady && draft.phase !== 'waiting';
    disconnect(draft, connection, message, 1008);
    // Where it has not taken part yet, its going is no event by itself.
    if (!isAnnounced) emit(draft, { type: 'left', workerId, message });
  }
}

/** Tells a worker to fail on purpose, in a run that was set up for it. */
export function injectFault(draft: Draft, event: EventOf<'injectFault'>): void {
  if (draft.setup.faultInjection !== true || hasEnded(draft)) return;
  const { workerId, action, forMs } = event;
  for (const { connection } of connectionsOf(draft, workerId)) {
    send(draft, connection, { type: 'injectFault', action, forMs });
    emit(draft, { type: 'injectFault', workerId, action });
  }
}
