/** What the socket's thread and a compute thread say to each other. */

import type { RandomKey } from '@lockstep/nn';
import type { BackendChoice } from '@lockstep/tensor';
import type { BlockGradient, ComputeSetup } from '@lockstep/training';

export interface ThreadSetup {
  readonly backend: BackendChoice;
}

export type ThreadRequest =
  | { readonly type: 'start' }
  | { readonly type: 'open'; readonly setup: ComputeSetup }
  /** All threads read the weights from one shared memory; nobody writes to it before all have answered. */
  | { readonly type: 'weights'; readonly shared: SharedArrayBuffer }
  | {
      readonly type: 'gradient';
      readonly pixels: Uint8Array;
      readonly labels: Uint8Array;
      readonly key: RandomKey;
    };

/** Each request is answered once, in order. */
export type ThreadResponse =
  | {
      readonly type: 'started';
      readonly backend: string;
      readonly arithmetic: string;
      readonly refused: readonly string[];
    }
  | { readonly type: 'opened' }
  | { readonly type: 'weighted' }
  | { readonly type: 'gradient'; readonly result: BlockGradient }
  | { readonly type: 'error'; readonly sentence: string };
