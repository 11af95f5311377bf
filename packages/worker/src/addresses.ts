/** Finds a worker's coordinator: at an address that was given or told, or through a source of current addresses. */
import type { WorkerTransport } from '@lockstep/protocol';
import { connect } from './connection.ts';
import { type JoinAddress, joinAddress } from './join-address.ts';

export interface Connector {
  /** @throws Error with one sentence that says why there is no connection */
  connect(): Promise<WorkerTransport>;
  /** Token of the joined coordinator. */
  readonly token: string | undefined;
  /** Address of the joined coordinator; undefined before one is found. */
  readonly address: BookAddress | undefined;
  /** Takes the alternative addresses of the run from the coordinator. */
  learn(addresses: readonly string[] | undefined): void;
  /** Waits after a coordinator has sent its workers away. @returns whether the run goes on, with another coordinator */
  goesOn(): Promise<boolean>;
}

export interface ConnectorOptions {
  /** Secrets that the address may contain instead. */
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/**
 * @param leaving aborted when the worker leaves
 * @param over aborted here if the run is over, before `connect` fails
 * @throws ConfigurationError if `url` is not the address of a WebSocket
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

/** Addresses at which a run can be joined: the given one, and those that its coordinators told. */
export class AddressBook {
  readonly #given: BookAddress;
  /** In the order of attempts: the last one reached comes first. */
  #addresses: readonly BookAddress[];

  constructor(given: BookAddress) {
    this.#given = given;
    this.#addresses = [given];
  }

  /** The address last reached; at first the given one. */
  get joined(): BookAddress {
    return this.#addresses[0] ?? this.#given;
  }

  /** Replaces the told addresses by those of the joined coordinator. */
  learn(told: readonly string[]): void {
    const others = told.map((url): BookAddress => joinAddress(url, {}));
    // Told by a coordinator on another machine, a loopback address does not lead to it.
    const reachable = others.filter(({ url }) => isLoopback(this.#given.url) || !isLoopback(url));
    const all = [this.joined, this.#given, ...reachable];
    this.#addresses = all.filter(({ url }, at) => all.findIndex((other) => other.url === url) === at);
  }

  /** Tries one address after another. @throws the error of the first attempt if all fail */
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

/** Locates a run's current coordinator; a fleet's finder is one. */
export interface AddressSource {
  /** Returns undefined if the run is over. @throws Error with one phrase if no coordinator is known */
  find(): Promise<FoundAddress | undefined>;
  /**
   * Waits a limited time for a different coordinator than the last one found, or for the end of the run.
   * @returns whether either came
   */
  changed(signal: AbortSignal): Promise<boolean>;
}

/** Address of a coordinator and the secrets for joining it. */
export interface FoundAddress {
  /** Address, such as `ws://127.0.0.1:7070`. */
  readonly url: string;
  readonly token?: string | undefined;
  readonly fingerprint?: string | undefined;
}

/** @param over aborted if the run is over, before `connect` fails */
export function sourceConnector(source: AddressSource, signal: AbortSignal, over: AbortController): Connector {
  let address: JoinAddress | undefined;
  return {
    get token() {
      return address?.token;
    },
    // Not needed: the source is asked at each attempt.
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
          // The next attempt may be seconds away, so retry at once if another coordinator has taken over.
          if (!(await source.changed(signal))) throw error;
        }
      }
    },
  };
}
