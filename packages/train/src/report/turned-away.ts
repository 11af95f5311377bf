/** What a coordinator turned away, by reason. */

export const turnedAwayReasons = [
  /** Connections that were cut before they had shown what they were for: too many were open. */
  'silent',
  /** Connections of an address that opened too many in a short time. */
  'hasty',
  /** Workers and viewers for which there was no place. */
  'full',
  /** Tokens that were missing, wrong, or came too soon after wrong ones. */
  'token',
  /** Pages and host names that may not connect. */
  'origin',
  /** Connections that sent more than they were asked for, or read too little. */
  'flood',
] as const;

export type TurnedAway = Readonly<Record<(typeof turnedAwayReasons)[number], number>>;

/** Of a run without sockets. */
export const nothingTurnedAway = Object.fromEntries(turnedAwayReasons.map((reason) => [reason, 0])) as TurnedAway;
