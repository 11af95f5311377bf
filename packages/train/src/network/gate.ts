/** What the sockets of workers and of viewers share: the tokens, who has guessed at them, and the count of those turned away. */
import { systemClock } from '@lockstep/worker';
import { WatchPermission } from '../dashboard/watch-permission.ts';
import { TokenGuesses } from '../guard/token-guesses.ts';
import { TurnedAwayCounter } from '../guard/turned-away.ts';

export interface Gate {
  readonly guesses: TokenGuesses;
  readonly permission: WatchPermission;
  readonly turnedAway: TurnedAwayCounter;
}

export interface GateTokens {
  /** What joining needs; watching needs it as well, unless it is open to every client. */
  readonly token: string | undefined;
  readonly adminToken: string;
  readonly publicView: boolean;
}

export function createGate({ token, adminToken, publicView }: GateTokens): Gate {
  const guesses = new TokenGuesses(systemClock.nowMs);
  const turnedAway = new TurnedAwayCounter();
  const viewToken = publicView ? undefined : token;
  const onBadToken = (): void => turnedAway.count('token');
  return { guesses, turnedAway, permission: new WatchPermission({ viewToken, adminToken, guesses, onBadToken }) };
}
