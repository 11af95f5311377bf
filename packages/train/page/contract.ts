/** What the page of the tests gives. */

export interface TrainedInPage {
  /** Kinds of events, in the order in which they first came. */
  readonly types: readonly string[];
  readonly weightsSha256: string;
  readonly worker: string;
  /** Lines about what computes. */
  readonly notes?: readonly string[];
}
