/** Where a worker finds its coordinator: at an address that it was given or told of, or by a source that knows the newest. */
import type { WorkerTransport } from '@lockstep/protocol';
import { connect } from './connection.ts';
import { type JoinAddress, joinAddress } from './join-address.ts';

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

export type BookAddress = Pick<JoinAddress, 'url' | 'fingerprint'>;

/** The addresses at which a run can be joined: the one that a person gave, and those that its coordinators told of. */
export class AddressBook {
  readonly #given: BookAddress;
  /** In the order in which they are tried: first the one that was reached last. */
  #addresses: readonly BookAddress[];

  constructor(given: BookAddress) {
    this.#given = given;
    this.#addresses = [given];
  }

  /** The one that was reached last, at first the given one. */
  get joined(): BookAddress {
    return this.#addresses[0] ?? this.#given;
  }

  /** Takes the addresses that the joined coordinator tells, in place of those told before. */
  learn(told: readonly string[]): void {
    const others = told.map((url): BookAddress => joinAddress(url, {}));
    // An address of this very machine means another one where the coordinator runs elsewhere.
    const reachable = others.filter(({ url }) => isLoopback(this.#given.url) || !isLoopback(url));
    const all = [this.joined, this.#given, ...reachable];
    this.#addresses = all.filter(({ url }, at) => all.findIndex((other) => other.url === url) === at);
  }

  /** Tries one address after another. @throws the error of the first one where none is reached */
  async reach<Reached>(attempt: (address: BookAddress) => Promise<Reached>): Promise<Reached> {
    let first: unknown;
    for (const address of this.#addresses) {
      try {
        const reached = await attempt(address);
        this.#addresses = [address, ...this.#addresses.filter((other) => other !== address)];
        return reached;
      } catch (error) {
        first ??= error;
      }
    }
    throw first;
  }
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

/** Where a run's coordinator is now; the finder of a fleet is one. */
export interface AddressSource {
  /** Undefined where the run is over. @throws Error with one phrase where no coordinator is known */
  find(): Promise<FoundAddress | undefined>;
  /** Waits for a while for another coordinator than the one that was found, or the end of the run. @returns whether there is one */
  changed(signal: AbortSignal): Promise<boolean>;
}

/** Where a coordinator can be joined, and what that takes. */
export interface FoundAddress {
  /** Such as `ws://127.0.0.1:7070`. */
  readonly url: string;
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/** @param over aborted where the run is over, before `connect` fails */
export function sourceConnector(source: AddressSource, signal: AbortSignal, over: AbortController): Connector {
  let address: JoinAddress | undefined;
  return {
    get token() {
      return address?.token;
    },
    // The source is asked at each attempt.
    learn: () => {},
    get address() {
      return address;
    },
    async goesOn() {
      await source.changed(signal);
      const isOver = await source.find().then(
        (found) => found === undefined,
        () => false,
      );
      return !isOver && !signal.aborted;
    },
    async connect() {
      for (;;) {
        const found = await source.find();
        if (!found) {
          over.abort();
          throw new Error('the run is over');
        }
        address = joinAddress(found.url, found);
        try {
          return await connect(address.url, address.fingerprint);
        } catch (error) {
          // The next attempt may be seconds away: a coordinator that takes over is joined as soon as it is known.
          if (!(await source.changed(signal))) throw error;
        }
      }
    },
  };
}
