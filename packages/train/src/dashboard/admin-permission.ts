/** Whether a viewer's message comes with the admin token; the viewer is told where it does not. */
import type { WatchMessageFrom } from '@lockstep/protocol';
import type { Viewer } from './viewer.ts';
import type { WatchPermission } from './watch-permission.ts';

/** A request of an owner. */
export type OwnerMessage = Exclude<WatchMessageFrom<'viewer'>, { type: 'hello' | 'wantWeights' | 'unlock' }>;

const maxBadTokens = 5;

/** The request where it may be met; undefined where there is none, or it may not. */
export function ownerMessage(
  message: WatchMessageFrom<'viewer'>,
  viewer: Viewer,
  permission: WatchPermission,
): OwnerMessage | undefined {
  if (message.type === 'hello' || message.type === 'wantWeights') return undefined;
  const fault = permission.adminFault(message.token);
  if (fault !== undefined) {
    viewer.send(
      message.type === 'unlock' ? { type: 'role', role: 'guest', fault } : { type: 'refused', message: fault },
    );
    viewer.badTokens += 1;
    if (viewer.badTokens >= maxBadTokens) viewer.close(1008, 'the admin token was wrong too often');
    return undefined;
  }
  viewer.role = 'owner';
  if (message.type !== 'unlock') return message;
  viewer.send({ type: 'role', role: 'owner' });
  return undefined;
}
