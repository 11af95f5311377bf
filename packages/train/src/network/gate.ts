/** What the sockets of workers and of viewers share: the tokens, who has guessed at them, and the count of those turned away. */
import { systemClock } from '@lockstep/worker';
import { WatchPermission } from '../dashboard/watch-permission.ts';
import { Guesses } from '../guard/guesses.ts';
import { TurnedAwayCounter } from '../guard/turned-away.ts';

export interface Gate {
  /** Stands for the token; undefined where none is needed. */
  readonly code: string | undefined;
  readonly guesses: Guesses;
  readonly permission: WatchPermission;
  readonly turnedAway: TurnedAwayCounter;
}

export interface GateTokens {
  /** What joining needs; watching needs it as well, unless it is open to every client. */
  readonly token: string | undefined;
  /** Stands for the token. */
  readonly code: string | undefined;
  readonly adminToken: string;
  readonly publicView: boolean;
}

export function createGate({ token, code, adminToken, publicView }: GateTokens): Gate {
  const guesses = new Guesses(systemClock);
  const turnedAway = new TurnedAwayCounter();
  const onBadToken = (): void => turnedAway.count('token');
  const permission = new WatchPermission({ token, code, publicView, adminToken, guesses, onBadToken });
  return { code, guesses, turnedAway, permission };
}
