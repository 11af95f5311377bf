/** Makes a server listen: on a port that was asked for, or on the first free one from the default port on. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { configurationError, type NamedOption, named } from '@lockstep/worker';

export interface PortOptions {
  readonly host: string;
  /** Undefined: the first free port from `defaultPort` on. */
  readonly port: number | undefined;
  readonly defaultPort: number;
}

const portsTried = 100;
/** Sockets that may wait in the kernel: hundreds of workers may connect at one moment. */
const backlog = 512;

/** Returns the port. @throws ConfigurationError */
export async function listenOnFreePort(server: Server, { host, port, defaultPort }: PortOptions): Promise<number> {
  const [first, last] = port === undefined ? [defaultPort, defaultPort + portsTried - 1] : [port, port];
  for (let candidate = first; candidate <= last; candidate++) {
    const error = await tryPort(server, host, candidate);
    if (error === undefined) return (server.address() as AddressInfo).port;
    switch (error.code) {
      case 'EADDRINUSE':
        break;
      case 'EACCES':
        throw configurationError`${at('port', candidate)}: expected a port that this user may open, got one that is reserved`;
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        throw configurationError`${at('host', host)}: expected an address of this machine, got one that is not`;
      default:
        throw configurationError`${at('host', host)} ${at('port', candidate)}: cannot listen there (${error.message})`;
    }
  }
  if (port === undefined) {
    throw configurationError`expected a free port from ${first} to ${last}, all are in use; name one with ${at('port')}`;
  }
  throw configurationError`${at('port', port)}: expected a free port, this one is in use; leave ${at('port')} out to take the next free one`;
}

function at(option: 'host' | 'port', value?: string | number): NamedOption {
  return named(`listen.${option}`, value?.toString());
}

async function tryPort(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  try {
    server.listen({ host, port, backlog });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}
