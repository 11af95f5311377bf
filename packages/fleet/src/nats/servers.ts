/** Parses the addresses of a fleet's NATS servers, separating secrets so that they are never printed. */

export interface Servers {
  /** Addresses, each as `host:port`. */
  readonly list: readonly string[];
  /** Whether any address asks for TLS. */
  readonly tls: boolean;
  readonly login: { readonly user: string; readonly pass: string } | undefined;
  /** The addresses as given, without secrets. */
  readonly place: string;
}

const defaultPort = 4222;

/**
 * @param text such as `nats://user:password@a.example:4222,nats://b.example`, or with tls:// for servers with TLS
 * @returns undefined if the text is anything else
 */
export function parseServers(text: string): Servers | undefined {
  const urls = text.split(',').map(parseOne);
  const known = urls.filter((url) => url !== undefined);
  if (known.length !== urls.length) return undefined;
  const login = known.find(({ username }) => username !== '');
  const list = known.map(({ hostname, port }) => `${hostname}:${port || defaultPort}`);
  return {
    list,
    tls: known.some(({ protocol }) => protocol === 'tls:'),
    login: login && { user: decodeURIComponent(login.username), pass: decodeURIComponent(login.password) },
    place: known.map(({ protocol }, index) => `${protocol}//${list[index]}`).join(','),
  };
}

function parseOne(text: string): URL | undefined {
  if (!/^(nats|tls):\/\/[^/]+\/?$/.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.hostname === '' ? undefined : url;
}
