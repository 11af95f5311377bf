/** What the socket's thread and the thread of a background compute send each other. */
import type { RandomKey, SampleValues, TargetValues } from '@lockstep/nn';
import type { ComputeSetup, ShardGradient } from '@lockstep/training';
import type { ComputeChoice } from './compute-choice.ts';

/** What the thread is started with. */
export interface BackgroundSetup {
  readonly choice: ComputeChoice;
}

/** Executed one after another; each but `weights` is answered. */
export type BackgroundCall =
  | { readonly type: 'open'; readonly setup: ComputeSetup }
  | { readonly type: 'weights'; readonly bytes: Uint8Array }
  | {
      readonly type: 'gradient';
      readonly samples: SampleValues;
      readonly targets: TargetValues;
      readonly key: RandomKey | undefined;
    };

/** How the backend was opened. */
export interface Started {
  readonly type: 'started';
  readonly backend: string;
  readonly numericMode: string;
  /** One sentence for each backend that was tried before and could not be used. */
  readonly refused: readonly string[];
  /** One line: what computes, and why nothing else does. */
  readonly choice: string;
}

export type BackgroundAnswer =
  | Started
  | { readonly type: 'opened' }
  | { readonly type: 'computed'; readonly result: ShardGradient }
  /** The call that is answered has failed, or weights before it, or the start. */
  | { readonly type: 'failed'; readonly message: string };
