/** Time as the rules see it: handed in, so that a simulation can run on its own. */
export interface Clock {
  /** Milliseconds from any fixed moment; never goes back. */
  nowMs(): number;
  /** Calls back once, after a time; the returned function takes that back. */
  after(delayMs: number, callback: () => void): () => void;
}
