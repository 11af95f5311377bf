/** How others join this run: an address as a link and a QR code, and a command for terminals. */

import type { RunMessage } from '@lockstep/protocol';
import { encode } from 'uqr';
import { CopyButton } from '../look/controls.tsx';

interface JoinAddressProps {
  readonly run: Pick<RunMessage, 'joinAddresses' | 'workerCommand' | 'tokenNeeded'> | undefined;
  readonly token: string | undefined;
  /** A short code that people may type instead of the token. */
  readonly code: string | undefined;
}

export function JoinAddressView({ run, token, code }: JoinAddressProps) {
  const page = new URL(location.href);
  const invitation = invitationOf(run, token, page);
  const isOpen = invitation.type === 'open';
  const command = run && invitation.type !== 'no-token' ? joinCommand(run, token, page) : undefined;
  return (
    <>
      <button type="button" popovertarget="join-address">
        Invite
      </button>
      <div id="join-address" popover="auto" class="bubble join-address" role="dialog" aria-label="Join address">
        {invitation.type !== 'open' && <p class="uninvited">{uninvitedTexts[invitation.type]}</p>}
        {isOpen && <QrCode text={invitation.link} />}
        {invitation.type !== 'no-token' && (
          <>
            <p>{isOpen ? 'Scan it, or open' : 'On this computer, open'}</p>
            <p>
              <code class="address">{invitation.link}</code>
            </p>
            <CopyButton text={invitation.link} label="Copy the address" />
          </>
        )}
        {invitation.type !== 'no-token' && code !== undefined && (
          <p>
            Or open the address up to the # and type the code <code class="address">{code}</code>
          </p>
        )}
        <p>
          <a class="button" href="#room">
            Show it to the room
          </a>
        </p>
        {command !== undefined && (
          <>
            <p>From a terminal</p>
            <p>
              <code class="address">{command}</code>
            </p>
            <CopyButton text={command} label="Copy the command" />
          </>
        )}
      </div>
    </>
  );
}

type JoinPlace = Pick<RunMessage, 'joinAddresses' | 'workerCommand'>;

/** How others can join this run. */
type Invitation =
  /**
   * @param link joins at once
   * @param address the link without its fragment
   */
  | { readonly type: 'open'; readonly link: string; readonly address: string }
  /** Only programs on the coordinator's own machine can reach it. */
  | { readonly type: 'loopback'; readonly link: string; readonly address: string }
  /** This page does not know the token that joining needs. */
  | { readonly type: 'no-token' };

export function invitationOf(
  run: (JoinPlace & Pick<RunMessage, 'tokenNeeded'>) | undefined,
  token: string | undefined,
  page: URL,
): Invitation {
  if (run?.tokenNeeded && token === undefined) return { type: 'no-token' };
  const link = joinLink(run, token, page);
  const [address = ''] = link.split('#');
  return { type: isLoopback(new URL(link).hostname) ? 'loopback' : 'open', link, address };
}

/** Texts shown instead of an invitation that nobody could follow. */
export const uninvitedTexts = {
  loopback: (
    <>
      Only this computer can join, because the coordinator listens on a loopback address. Start it with{' '}
      <span class="unbroken">--host 0.0.0.0</span> to let other devices join; a QR code then appears here.
    </>
  ),
  'no-token': 'Joining requires a token, which this page does not have: open the address that the coordinator printed.',
} as const;

/** Returns a link that joins at once. The token is in the fragment, which browsers do not send to servers. */
export function joinLink(run: JoinPlace | undefined, token: string | undefined, page: URL): string {
  const secret = token === undefined ? '' : `&${new URLSearchParams({ token })}`;
  return `${reachable(run, 'http', page).href}#join${secret}`;
}

/** Returns the whole command. The token is passed in the environment, so that no process list shows it. */
export function joinCommand(run: JoinPlace, token: string | undefined, page: URL): string {
  const { protocol, host, pathname, search } = reachable(run, 'ws', page);
  const path = search === '' ? pathname.replace(/\/$/, '') : `${pathname}${search}`;
  const environment = token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
  return `${environment}${run.workerCommand} ${shellWord(`${protocol}//${host}${path}`)}`;
}

/** Returns this page's address or, if that is a loopback address, the one at which others reach the coordinator. */
function reachable(run: JoinPlace | undefined, scheme: 'http' | 'ws', page: URL): URL {
  const own = new URL(page.pathname, page.origin.replace(/^http/, scheme));
  const offered = run?.joinAddresses.find((address) => address.startsWith(scheme));
  if (offered === undefined) return own;
  if (isLoopback(page.hostname)) return new URL(offered);
  // A proxy may have another scheme, port and path than the coordinator; the fingerprint is the coordinator's.
  own.search = new URL(offered).search;
  return own;
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|\[::1\]|127\..*)$/.test(hostname);
}

/** Quotes a word for the shell: zsh would expand an unquoted `?`. */
function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function QrCode({ text }: { readonly text: string }) {
  const { size, data } = encode(text, { ecc: 'M', border: 2 });
  const path = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return (
    <svg class="qr-code" viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the join address">
      <rect width={size} height={size} class="qr-light" />
      <path d={path} class="qr-dark" />
    </svg>
  );
}
