/** Messages between the page and the lesson's thread. */
import type { Exhibit, Setting } from '@lockstep/lesson';

type Settings = Readonly<Record<string, Setting>>;

/** Computes a chapter; a newer request cancels an older one. */
export interface ChapterRequest {
  readonly request: number;
  readonly chapterId: string;
  readonly settings: Settings;
}

export type ChapterAnswer = { readonly request: number } & (
  | { readonly type: 'shown'; readonly exhibits: readonly Exhibit[] }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string }
);

/** Controls the live run of a chapter. There is one live run at a time. */
export type LiveRequest =
  | { readonly live: 'open'; readonly chapterId: string; readonly settings: Settings }
  /** `places` is the number of points of the curve between two pictures. */
  | { readonly live: 'train'; readonly places: number; readonly pictureEveryMs: number }
  | { readonly live: 'change'; readonly settings: Settings }
  /** `step` trains one point of the curve and pauses. */
  | { readonly live: 'pause' | 'restart' | 'step' };

export type LivePhase = 'paused' | 'training' | 'ended';

export type LiveAnswer =
  | { readonly type: 'live'; readonly phase: LivePhase; readonly exhibits: readonly Exhibit[] }
  | { readonly type: 'live-failed'; readonly message: string };
