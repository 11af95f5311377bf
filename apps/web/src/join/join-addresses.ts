/** Where others join this run, as a link for tabs and as a command for terminals. */
import type { Run } from '../watch/run-store.ts';

type JoinPlace = Pick<Run, 'joinAddresses' | 'workerCommand'>;

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
  if (!/^(localhost|\[::1\]|127\..*)$/.test(page.hostname)) url.host = page.host;
  return url;
}

/** One word as a shell takes it: zsh looks for files where a `?` stands. */
function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
