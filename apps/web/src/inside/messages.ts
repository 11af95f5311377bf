/** Messages between the page and the lesson's thread about a live network. */
import type { LabeledSample, SampleTrace, WeightView } from '@lockstep/lesson';

/** Inspects a network and, if given, a sample in it. At most one request is pending. */
export interface InspectRequest {
  readonly network: {
    readonly model: unknown;
    readonly sampleShape: readonly number[];
    /** All parameters in model order, little-endian float32. */
    readonly weights: Uint8Array;
    /** Number of steps that produced the weights. */
    readonly step: number;
  };
  readonly sample: LabeledSample | undefined;
}

/** One sample in a network: its trace and its gradient. */
export interface InspectedSample {
  readonly trace: SampleTrace;
  /** The trace's gradient, in the form in which weights are shown. */
  readonly gradientView: WeightView;
}

export interface Inspected {
  /** Number of steps that produced the weights. */
  readonly step: number;
  readonly weightView: WeightView;
  readonly sample: InspectedSample | undefined;
}

export type InspectAnswer =
  | { readonly type: 'inspected'; readonly inspected: Inspected }
  | { readonly type: 'failed'; readonly message: string };
