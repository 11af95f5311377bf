/** Where others join this run, as a link for tabs and as a command for terminals. */
import type { Run } from '../watch/run-store.ts';

type JoinPlace = Pick<Run, 'joinAddresses' | 'workerCommand'>;

/** How others get into this run. */
export type Invitation =
  /** @param link joins at once; @param address is the link up to the secret */
  | { readonly type: 'open'; readonly link: string; readonly address: string }
  /** Only programs on the coordinator's own machine reach it. */
  | { readonly type: 'loopback'; readonly link: string; readonly address: string }
  /** This page does not know the token that joining needs. */
  | { readonly type: 'no-token' };

export function invitationOf(
  run: (JoinPlace & Pick<Run, 'tokenNeeded'>) | undefined,
  token: string | undefined,
  page: URL,
): Invitation {
  if (run?.tokenNeeded && token === undefined) return { type: 'no-token' };
  const link = joinLink(run, token, page);
  const [address = ''] = link.split('#');
  return { type: isLoopback(new URL(link).hostname) ? 'loopback' : 'open', link, address };
}

/** Texts in the place of an invitation that nobody could follow. */
export const uninvitedTexts = {
  loopback:
    'Only this computer can join, because the coordinator listens on a loopback address. Start it with --host 0.0.0.0 to let other devices in; a QR code for them then appears here.',
  'no-token': 'This page does not know the token that joining needs: open the address that the coordinator printed.',
} as const;

/** A link that joins at once, with the token in its fragment, which browsers keep to themselves. */
export function joinLink(run: JoinPlace | undefined, token: string | undefined, page: URL): string {
  const secret = token === undefined ? '' : `&${new URLSearchParams({ token })}`;
  return `${reachable(run, 'http', page).href}#join${secret}`;
}

/** The whole command, with its token: in the environment, where no list of processes shows it. */
export function joinCommand(run: JoinPlace, token: string | undefined, page: URL): string {
  const { protocol, host, pathname, search } = reachable(run, 'ws', page);
  const path = search === '' ? pathname.replace(/\/$/, '') : `${pathname}${search}`;
  const environment = token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
  return `${environment}${run.workerCommand} ${shellWord(`${protocol}//${host}${path}`)}`;
}

/** This page's address or, where that is a loopback address, the one at which others reach the coordinator. */
function reachable(run: JoinPlace | undefined, scheme: 'http' | 'ws', page: URL): URL {
  const offered = run?.joinAddresses.find((address) => address.startsWith(scheme));
  const own = new URL(page.pathname, page.origin.replace(/^http/, scheme));
  if (offered === undefined) return own;
  const url = new URL(offered);
  if (!isLoopback(page.hostname)) url.host = page.host;
  return url;
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|\[::1\]|127\..*)$/.test(hostname);
}

/** One word as a shell takes it: zsh looks for files where a `?` stands. */
function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
