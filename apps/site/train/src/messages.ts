/** Messages between the page and the thread that trains. */
import type { WatchMessageFrom, WatchMessageOf } from '@lockstep/protocol';
import type { ReadingRequest } from '@lockstep/web/page/panels/data.tsx';

/** A CSV or TSV file, and how to read it. */
export interface TableRequest extends ReadingRequest {
  readonly file: File;
}

export interface StartRequest {
  readonly type: 'start';
  /** MNIST if omitted. */
  readonly table: TableRequest | undefined;
  readonly model: string;
  readonly epochs: number | undefined;
}

export type TrainerRequest =
  | { readonly type: 'read'; readonly table: TableRequest }
  | StartRequest
  /** Ends the run after the current step. */
  | { readonly type: 'stop' }
  /** Asks for the weights after the next step. */
  | { readonly type: 'weights' };

/** A file as it was read. */
export interface ReadFile {
  /** Its first rows; undefined if it is no table. */
  readonly table?: WatchMessageOf<'dataSetup'>['table'];
  /** Rows and columns that were found. */
  readonly found?: string;
  /** Why it cannot be trained on as asked, in one sentence. */
  readonly fault?: string;
}

export type TrainerAnswer =
  /** The messages of a coordinator to its viewers. */
  | WatchMessageFrom<'coordinator'>
  /** The digits arrive: bytes so far, as packed. */
  | { readonly type: 'loading'; readonly bytes: number }
  | ({ readonly type: 'read' } & ReadFile)
  /** There can be no such run, in one sentence. */
  | { readonly type: 'fault'; readonly message: string };
