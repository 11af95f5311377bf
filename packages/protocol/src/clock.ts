/** Source of time. Passing it as an argument lets a simulation run in virtual time. */
export interface Clock {
  /** Milliseconds since an arbitrary fixed moment; never decreases. */
  nowMs(): number;
  /** Calls back once after a delay; the returned function cancels the call. */
  after(delayMs: number, callback: () => void): () => void;
}
