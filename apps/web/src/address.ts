/** The page's own address: the view that it selects, whether to join at once, and the secrets in its fragment. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { computed, signal } from '@preact/signals';

/** The token that workers need to join, and the admin token needed to control the run. */
export type Secrets = Readonly<Record<'token' | 'admin', string | undefined>>;

const storageKey = 'lockstep.secrets';

/**
 * Reads `#join&threads=…&token=…&admin=…`; an empty secret counts as omitted. Secrets leave the address bar, and those of
 * session storage count if the address has none.
 */
export function readAddress(): {
  readonly joinAtOnce: boolean;
  /** Compute threads to join with; undefined for the usual number. */
  readonly threads: number | undefined;
  readonly secrets: Secrets;
} {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const stored = JSON.parse(sessionStorage.getItem(storageKey) ?? '{}') as Partial<Secrets>;
  const secrets = { token: fragment.get('token') || stored.token, admin: fragment.get('admin') || stored.admin };
  const joinAtOnce = fragment.has('join');
  const threads = Math.trunc(Number(fragment.get('threads'))) || undefined;
  if (['threads', 'token', 'admin'].some((name) => fragment.has(name))) {
    const view = ['join', 'room'].find((name) => fragment.has(name));
    history.replaceState(null, '', `${location.pathname}${location.search}${view === undefined ? '' : `#${view}`}`);
  }
  return { joinAtOnce, threads, secrets };
}

/** Keeps the secrets for a reload. */
export function saveSecrets(secrets: Secrets): void {
  sessionStorage.setItem(storageKey, JSON.stringify(secrets));
}

/** Builds the message with which a viewer asks to be let in. */
export function helloOf({ token, admin }: Secrets): WatchMessageOf<'hello'> {
  return {
    type: 'hello',
    ...(token === undefined ? {} : { token }),
    ...(admin === undefined ? {} : { adminToken: admin }),
  };
}

/** Returns the WebSocket address of `path`, relative to this page, on the server that served it. */
export function socketAddress(path: string): string {
  const url = new URL(`.${path}`, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

/** The chapter's id, empty for the first one; undefined in other views. */
export const chapterInAddress = computed(() => idBehind(/^#learn(?:\/([a-z-]*))?$/));

/** The part of the live network, empty for the first one; undefined for other views. */
export const partInAddress = computed(() => idBehind(/^#inside(?:\/([a-z]*))?$/));

/** Whether the address selects the view for a projector. */
export const isRoomInAddress = computed(() => new URLSearchParams(hash.value.slice(1)).has('room'));

/** Returns the id in the address, empty if it is omitted; undefined if the address does not match the form. */
function idBehind(form: RegExp): string | undefined {
  const match = form.exec(hash.value);
  return match ? (match[1] ?? '') : undefined;
}
