/** What is remembered of addresses: at most so many, of which the longest unused are forgotten first. */

const maxAddresses = 4_096;

export class AddressTable<Entry> {
  readonly #entries = new Map<string, Entry>();
  readonly #create: () => Entry;

  constructor(create: () => Entry) {
    this.#create = create;
  }

  /** The entry of an address, which counts as used now. */
  get(address: string): Entry {
    const entry = this.#entries.get(address) ?? this.#create();
    this.#entries.delete(address);
    this.#entries.set(address, entry);
    const [longestUnused] = this.#entries.keys();
    if (this.#entries.size > maxAddresses && longestUnused !== undefined) this.#entries.delete(longestUnused);
    return entry;
  }
}
