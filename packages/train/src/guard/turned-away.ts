/** Counts what was turned away, by reason. */
import { type TurnedAway, turnedAwayReasons } from '../report/turned-away.ts';

export type TurnedAwayReason = keyof TurnedAway;

export class TurnedAwayCounter {
  readonly #counts = new Map<TurnedAwayReason, number>();

  readonly count = (reason: TurnedAwayReason): void => {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  };

  total(): TurnedAway {
    const entries = turnedAwayReasons.map((reason) => [reason, this.#counts.get(reason) ?? 0]);
    return Object.fromEntries(entries) as TurnedAway;
  }
}
