/** What the page and the lesson's thread say to each other. */
import type { Exhibit, Setting } from '@lockstep/lesson';

type Settings = Readonly<Record<string, Setting>>;

/** Computes a chapter; a newer request ends an older one. */
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

/** What is done with the live run of a chapter, of which there is one at a time. */
export type LiveRequest =
  | { readonly live: 'open'; readonly chapterId: string; readonly settings: Settings }
  /** So many places of the curve in each picture. */
  | { readonly live: 'train'; readonly places: number; readonly pictureEveryMs: number }
  | { readonly live: 'change'; readonly settings: Settings }
  /** `step` trains one place of the curve, and pauses. */
  | { readonly live: 'pause' | 'restart' | 'step' };

export type LivePhase = 'paused' | 'training' | 'ended';

export type LiveAnswer =
  | { readonly type: 'live'; readonly phase: LivePhase; readonly exhibits: readonly Exhibit[] }
  | { readonly type: 'live-failed'; readonly message: string };
