/** What the page's own address says: whether to join at once, and the secrets of the fragment. */
import { watchPath } from '@lockstep/protocol';

export interface Secrets {
  /** What workers must know. */
  readonly token: string | undefined;
  /** What steering needs. */
  readonly admin: string | undefined;
}

const storageKey = 'lockstep.secrets';

/** Reads `#join&token=…&admin=…`. Secrets move from the address bar to this tab's own storage, and stay over a reload. */
export function readAddress(): { readonly joinAtOnce: boolean; readonly secrets: Secrets } {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const stored = JSON.parse(sessionStorage.getItem(storageKey) ?? '{}') as Partial<Secrets>;
  const secrets = {
    token: fragment.get('token') ?? stored.token ?? undefined,
    admin: fragment.get('admin') ?? stored.admin ?? undefined,
  };
  keepSecrets(secrets);
  const joinAtOnce = fragment.has('join');
  if (fragment.has('token') || fragment.has('admin')) {
    history.replaceState(null, '', `${location.pathname}${location.search}${joinAtOnce ? '#join' : ''}`);
  }
  return { joinAtOnce, secrets };
}

export function keepSecrets(secrets: Secrets): void {
  sessionStorage.setItem(storageKey, JSON.stringify(secrets));
}

/** Where workers connect: the server that this page came from. */
export function workerAddress(): string {
  return socketAddress('/');
}

/** Where viewers connect. */
export function viewerAddress(): string {
  return socketAddress(watchPath);
}

function socketAddress(path: string): string {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = '';
  return url.href;
}
