/** What the page and the lesson's thread say to each other about a live network. */
import type { LabeledSample, SampleTrace, SingleStep, WeightView } from '@lockstep/lesson';

/** Looks at a network, and at one sample in it where there is one; answered before the next is sent. */
export interface InspectRequest {
  readonly network: {
    readonly model: unknown;
    readonly sampleShape: readonly number[];
    readonly optimizer: unknown;
    /** All parameters in model order, little-endian float32. */
    readonly weights: Uint8Array;
    /** Steps that the weights had taken. */
    readonly step: number;
  };
  readonly sample: LabeledSample | undefined;
}

/** One sample in a network. */
export interface InspectedSample {
  readonly trace: SampleTrace;
  readonly single: SingleStep;
  /** The trace's gradient, as weights are shown. */
  readonly gradientView: WeightView;
}

export interface Inspected {
  /** Steps that the weights had taken. */
  readonly step: number;
  readonly weightView: WeightView;
  readonly sample: InspectedSample | undefined;
}

export type InspectAnswer =
  | { readonly type: 'inspected'; readonly inspected: Inspected }
  | { readonly type: 'failed'; readonly message: string };
