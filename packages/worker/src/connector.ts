/** Connects a worker to the coordinator or relay whose address it was given, or to one that it was told of. */
import type { WorkerTransport } from '@lockstep/protocol';
import { AddressBook, type BookAddress } from './address-book.ts';
import { type AddressSource, sourceConnector } from './address-source.ts';
import { connect } from './connect.ts';
import { joinAddress } from './join-address.ts';

export interface Connector {
  /** @throws Error with one sentence that says why there is no connection */
  connect(): Promise<WorkerTransport>;
  /** Of the coordinator that is joined. */
  readonly token: string | undefined;
  /** Where that is; undefined before one is found. */
  readonly address: BookAddress | undefined;
  /** Where else the run can be joined, as the coordinator says it. */
  learn(addresses: readonly string[] | undefined): void;
  /** Waits where a coordinator has sent its workers away. @returns whether the run goes on, with another one */
  goesOn(): Promise<boolean>;
}

export interface ConnectorOptions {
  /** What the address may have instead. */
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/**
 * @param leaving aborted when the worker leaves
 * @param over aborted here where the run is over, before `connect` fails
 * @throws ConfigurationError where it is no address of a WebSocket
 */
export function openConnector(
  url: string | AddressSource,
  options: ConnectorOptions,
  leaving: AbortSignal,
  over: AbortController,
): Connector {
  if (typeof url !== 'string') return sourceConnector(url, leaving, over);
  const { token, ...address } = joinAddress(url, options);
  const book = new AddressBook(address);
  return {
    token,
    get address() {
      return book.joined;
    },
    connect: () => book.reach((one) => connect(one.url, one.fingerprint)),
    learn: (addresses) => book.learn(addresses ?? []),
    goesOn: async () => false,
  };
}
