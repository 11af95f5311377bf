/** The addresses at which a run can be joined: the one that a person gave, and those that its coordinators told of. */
import { type JoinAddress, joinAddress } from './join-address.ts';

export type BookAddress = Pick<JoinAddress, 'url' | 'fingerprint'>;

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
