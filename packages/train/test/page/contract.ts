/** The functions that the tests' page provides. */

export interface TrainedInPage {
  /** Kinds of events, in the order of their first occurrence. */
  readonly types: readonly string[];
  readonly weightsSha256: string;
  readonly worker: string;
  /** Lines about the backend in use. */
  readonly notes?: readonly string[];
}
