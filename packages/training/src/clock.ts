/** Time as the rules see it: an argument, so that a simulation can run in virtual time. */
export interface Clock {
  /** Milliseconds from any fixed moment; never goes back. */
  nowMs(): number;
  /** Calls back once, after a delay; the returned function cancels that. */
  after(delayMs: number, callback: () => void): () => void;
}
