/** Finds the coordinator to join where its address may change, and connects to it. */
import { connect } from './connect.ts';
import type { Connector } from './connector.ts';
import { type JoinAddress, joinAddress } from './join-address.ts';

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
