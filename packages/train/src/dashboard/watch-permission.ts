/** Which viewers may watch, and which control the run. */
import { sameSecret, type WatchMessageOf } from '@lockstep/protocol';
import { busyMessage, type Guesses } from '../guard/guesses.ts';
import type { Welcome } from './viewers.ts';

export interface WatchPermissionOptions {
  /** What joining needs, and watching unless it is open to every client; the admin token is as good. */
  readonly token: string | undefined;
  /** Stands for the token. */
  readonly code: string | undefined;
  readonly publicView: boolean;
  /** Made, never chosen: too long to be guessed. */
  readonly adminToken: string;
  readonly guesses: Guesses;
  readonly onBadToken: () => void;
}

/** Undefined if the token is right, else a message that says what to do. */
type TokenFault = string | undefined;

const wrongToken =
  'this is not the token of this run: type its code again, or open the whole address that the coordinator printed';
const missingToken =
  'watching this run needs its token: open the whole address that the coordinator printed, with its token';
const wrongAdminToken =
  'this is not the admin token of this run: open the dashboard address that the coordinator printed';
const missingAdminToken =
  'controlling a run needs the admin token: open the dashboard address that the coordinator printed';

export class WatchPermission {
  readonly #options: WatchPermissionOptions;

  constructor(options: WatchPermissionOptions) {
    this.#options = options;
  }

  /** Answers a viewer's `hello`: before this returns, unless guesses of its client wait. */
  welcome({ token, adminToken }: WatchMessageOf<'hello'>, client: string, onWelcome: (welcome: Welcome) => void): void {
    const fault = adminToken === undefined ? undefined : this.adminFault(adminToken);
    if (adminToken !== undefined && fault === undefined) {
      onWelcome({ role: 'owner', mayInvite: true });
      return;
    }
    const { code } = this.#options;
    this.#check(token, code === undefined ? [] : [code], client, (refusal) => {
      // Who shows that it knows how to join sees the code.
      const mayInvite = token !== undefined && refusal === undefined;
      if (refusal !== undefined && !this.#isOpen) onWelcome({ refusal });
      else onWelcome({ role: 'guest', mayInvite, ...(fault !== undefined && { fault }) });
    });
  }

  /** What invited people may type in place of the token. */
  get code(): string | undefined {
    return this.#options.code;
  }

  /** Whether a token allows to read the metrics; the code does not. */
  metricsFault(token: string | undefined, client: string): Promise<TokenFault> {
    if (this.#isOpen) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#check(token, [], client, resolve));
  }

  /** Whether a token allows to control the run. */
  adminFault(token: string | undefined): TokenFault {
    const { adminToken, onBadToken } = this.#options;
    if (token !== undefined && sameSecret(adminToken, token)) return undefined;
    onBadToken();
    return token === undefined ? missingAdminToken : wrongAdminToken;
  }

  get #isOpen(): boolean {
    return this.#options.token === undefined || this.#options.publicView;
  }

  /** @param more secrets that are as good as the tokens */
  #check(
    shown: string | undefined,
    more: readonly string[],
    client: string,
    onFault: (fault: TokenFault) => void,
  ): void {
    const { token, adminToken, guesses, onBadToken } = this.#options;
    const count = (fault: string): void => {
      if (!this.#isOpen) onBadToken();
      onFault(fault);
    };
    if (shown === undefined) {
      count(missingToken);
      return;
    }
    const expected = [...(token === undefined ? [] : [token]), adminToken, ...more];
    guesses.check(client, expected, shown, (result) => {
      if (result === 'right') onFault(undefined);
      else count(result === 'wrong' ? wrongToken : busyMessage);
    });
  }
}
