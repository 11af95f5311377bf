/** Messages between a page and the lesson's thread. */
import type { Exhibit, LabeledSample, SampleTrace, Setting, WeightView } from '@lockstep/lesson';

export type Settings = Readonly<Record<string, Setting>>;

/** Computes a chapter; a newer request cancels an older one. */
export interface ChapterRequest {
  readonly type: 'chapter';
  /** Number of the request, which its answers repeat. */
  readonly request: number;
  readonly chapterId: string;
  readonly settings: Settings;
}

/** Controls the live run of a chapter. There is one live run at a time. */
export type LiveRequest =
  /** Shows the data and the untrained network. */
  | { readonly type: 'open'; readonly chapterId: string; readonly settings: Settings }
  /** `places` is the number of points of the curve between two pictures. */
  | { readonly type: 'train'; readonly places: number; readonly pictureEveryMs: number }
  | { readonly type: 'change'; readonly settings: Settings }
  /** `step` trains one point of the curve and pauses. */
  | { readonly type: 'pause' | 'restart' | 'step' };

/** Inspects a network and, if given, a sample in it. At most one request is pending. */
export interface InspectRequest {
  readonly type: 'inspect';
  readonly model: unknown;
  readonly sampleShape: readonly number[];
  /** All parameters in model order, little-endian float32. */
  readonly weights: Uint8Array;
  /** Number of steps that produced the weights. */
  readonly step: number;
  readonly sample: LabeledSample | undefined;
  /** For a model of text, the text's tokens and the names of all tokens. */
  readonly text: InspectedText | undefined;
}

export interface InspectedText {
  readonly tokens: readonly number[];
  readonly names: readonly string[];
}

export type LessonRequest = ChapterRequest | LiveRequest | InspectRequest;

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
  /** Attention, the next token and embeddings of a model of text. */
  readonly exhibits: readonly Exhibit[];
}

/** A chapter is computed once; a live run can be paused and continued. */
export type Phase = 'computing' | 'done' | 'paused' | 'training' | 'ended';

export type LessonAnswer =
  | {
      readonly type: 'shown';
      /** Number of the chapter's request; undefined for live runs. */
      readonly request?: number;
      readonly phase: Phase;
      readonly exhibits: readonly Exhibit[];
    }
  | { readonly type: 'inspected'; readonly inspected: Inspected }
  | { readonly type: 'failed'; readonly request?: number; readonly message: string };
