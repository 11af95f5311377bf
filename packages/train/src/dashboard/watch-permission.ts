/** Which viewers may watch, and which control the run. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { type TokenGuesses, tooSoonMessage } from '../guard/token-guesses.ts';
import type { Welcome } from './viewers.ts';

export interface WatchPermissionOptions {
  /** What joining needs, and watching unless it is open to every client; the admin token is as good. */
  readonly token: string | undefined;
  /** Stands for the token. */
  readonly code: string | undefined;
  readonly publicView: boolean;
  readonly adminToken: string;
  readonly guesses: TokenGuesses;
  readonly onBadToken: () => void;
}

/** Undefined where the token is right, else a message that says what to do. */
type TokenFault = string | undefined;

const adminAddress = 'open the dashboard address that the coordinator printed';
const watchAddress = 'open the whole address that the coordinator printed, with its token';
const tryAgain = 'type its code again, or open the whole address that the coordinator printed';

export class WatchPermission {
  readonly #options: WatchPermissionOptions;

  constructor(options: WatchPermissionOptions) {
    this.#options = options;
  }

  welcome({ token, adminToken }: WatchMessageOf<'hello'>, address: string): Welcome {
    const fault = adminToken === undefined ? undefined : this.adminFault(adminToken, address);
    if (adminToken !== undefined && fault === undefined) return { role: 'owner', mayInvite: true };
    const refusal = this.watchFault(token, address);
    if (refusal !== undefined) return { refusal };
    const mayInvite = this.#mayInvite(token, address);
    return fault === undefined ? { role: 'guest', mayInvite } : { role: 'guest', mayInvite, fault };
  }

  /** What invited people may type in place of the token. */
  get code(): string | undefined {
    return this.#options.code;
  }

  /** Whether a viewer has shown that it knows how to join; only then does it see the code. */
  #mayInvite(token: string | undefined, address: string): boolean {
    return token !== undefined && this.#options.guesses.check(address, this.#secrets(), token).type === 'right';
  }

  #secrets(): string[] {
    const { token, code, adminToken } = this.#options;
    return [token, code, adminToken].filter((secret) => secret !== undefined);
  }

  /** Whether a token allows to watch. */
  watchFault(token: string | undefined, address: string): TokenFault {
    if (this.#options.token === undefined || this.#options.publicView) return undefined;
    const wrong = `this is not the token of this run: ${tryAgain}`;
    const missing = `watching this run needs its token: ${watchAddress}`;
    return this.#fault(this.#secrets(), token, address, { wrong, missing });
  }

  /** Whether a token allows to control the run. */
  adminFault(token: string | undefined, address: string): TokenFault {
    const wrong = `this is not the admin token of this run: ${adminAddress}`;
    const missing = `controlling a run needs the admin token: ${adminAddress}`;
    return this.#fault([this.#options.adminToken], token, address, { wrong, missing });
  }

  #fault(
    expected: readonly string[],
    token: string | undefined,
    address: string,
    { wrong, missing }: { readonly wrong: string; readonly missing: string },
  ): TokenFault {
    const { guesses, onBadToken } = this.#options;
    const check = token === undefined ? undefined : guesses.check(address, expected, token);
    if (check?.type === 'right') return undefined;
    onBadToken();
    if (check === undefined) return missing;
    return check.type === 'wrong' ? wrong : tooSoonMessage(check.waitMs);
  }
}
