/** Decides claims to the identity of a connected worker: its connection keeps it while it is heard, else hands it over. */
import { disconnect } from './disconnect.ts';
import type { Draft } from './draft.ts';
import { admit, recordOf } from './handshake.ts';
import type { Connection } from './state.ts';

/** Called at every tick; the connection that has the identity was sent a ping when the claim was made. */
export function settleClaims(draft: Draft): void {
  for (const connection of [...draft.connections.values()]) {
    if (connection.claim) settle(draft, connection, connection.claim);
  }
}

function settle(
  draft: Draft,
  connection: Connection,
  { hello, rival, sinceMs }: NonNullable<Connection['claim']>,
): void {
  const holder = draft.connections.get(rival);
  if (holder && holder.lastReceivedAtMs > sinceMs) {
    // The client may join, as any client may, under an identity of its own.
    admit(draft, connection, hello, undefined);
    return;
  }
  if (holder && draft.nowMs - sinceMs < draft.setup.limits.heartbeatMs) return;
  if (holder) disconnect(draft, holder, 'it came back on another connection', 1000);
  const record = recordOf(draft, hello);
  const isTaken = [...draft.connections.values()].some(({ workerId }) => workerId === record?.id);
  admit(draft, connection, hello, isTaken ? undefined : record);
}
