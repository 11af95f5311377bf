/** Messages between the page and the thread that trains. */
import type { WatchMessageFrom } from '@lockstep/protocol';

export interface StartRequest {
  readonly type: 'start';
  /** A CSV or TSV file; MNIST if omitted. */
  readonly file: File | undefined;
  readonly model: string;
  readonly epochs: number | undefined;
}

export type TrainerRequest =
  | StartRequest
  /** Ends the run after the current step. */
  | { readonly type: 'stop' }
  /** Asks for the weights after the next step. */
  | { readonly type: 'weights' };

export type TrainerAnswer =
  /** The messages of a coordinator to its viewers. */
  | WatchMessageFrom<'coordinator'>
  /** The digits arrive: bytes so far, as packed. */
  | { readonly type: 'loading'; readonly bytes: number }
  /** Rows and columns that were found in the file. */
  | { readonly type: 'found'; readonly message: string }
  /** There can be no such run, in one sentence. */
  | { readonly type: 'fault'; readonly message: string };
