/** What each message of a worker does to the run, by the phase of its connection. */
import { noteDelivery } from './deadlines.ts';
import { disconnect, protocolViolation } from './disconnect.ts';
import { type Draft, emit, send, updateConnection, updateRecord } from './draft.ts';
import type { CheckedMessage } from './events.ts';
import { activate, handshake } from './handshake.ts';
import { takeGradient, takeTaskError } from './results.ts';
import type { Connection } from './state.ts';

export function handleMessage(draft: Draft, connection: Connection, message: CheckedMessage): void {
  const { connection: id, phase, claim } = connection;
  if (phase === 'handshake' && !claim && message.type !== 'hello' && message.type !== 'bye') {
    protocolViolation(draft, connection, `${message.type} before hello`);
    return;
  }
  switch (message.type) {
    case 'hello':
      if (phase === 'handshake' && !claim) handshake(draft, connection, message);
      else protocolViolation(draft, connection, 'a second hello');
      return;
    case 'numericsResult':
      if (phase === 'checking') activate(draft, connection, message);
      else protocolViolation(draft, connection, 'a numerics result that was not asked for');
      return;
    case 'gradient':
      if (phase === 'ready') takeGradient(draft, connection, message);
      // After a task error the worker is checked again; what it sent before that is late, and no violation.
      else if (connection.taskErrors === 0) {
        protocolViolation(draft, connection, 'a gradient before the numerics check');
      }
      return;
    case 'taskError':
      if (phase === 'handshake') protocolViolation(draft, connection, 'a task error before the welcome');
      else takeTaskError(draft, connection, message);
      return;
    case 'status':
      takeStatus(draft, connection, message);
      return;
    case 'ping':
      noteDelivery(draft, connection, message.receivedBytes ?? 0);
      send(draft, id, { type: 'pong', sentAtMs: message.sentAtMs });
      return;
    case 'pong':
      return;
    case 'bye':
      disconnect(draft, connection, message.message, 1000);
      return;
    default:
      message satisfies never;
  }
}

/** What a worker says of itself, and a relay of those behind it. */
function takeStatus(
  draft: Draft,
  { connection, phase, workerId = '' }: Connection,
  { hidden, workers, address, unverified }: Extract<CheckedMessage, { type: 'status' }>,
): void {
  updateConnection(draft, connection, { hidden });
  const record = draft.records.get(workerId);
  if (record?.kind !== 'relay') return;
  // The numerics check of a relay begins once a worker is there.
  if (phase === 'checking' && record.workersBehind === 0)
    updateConnection(draft, connection, { phaseAtMs: draft.nowMs });
  if (workers !== undefined) updateRecord(draft, workerId, { workersBehind: workers });
  if (unverified === true) updateRecord(draft, workerId, { unverified });
  if (address !== undefined) updateRecord(draft, workerId, { address });
  emit(draft, { type: 'relayStatus', workerId });
}
