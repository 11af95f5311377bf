/** What the page and the lesson's thread say to each other. */
import type { Exhibit, Setting } from '@lockstep/lesson';

/** Computes a chapter; a newer request ends an older one. */
export interface ChapterRequest {
  readonly request: number;
  readonly chapterId: string;
  readonly settings: Readonly<Record<string, Setting>>;
}

export type ChapterAnswer = { readonly request: number } & (
  | { readonly type: 'shown'; readonly exhibits: readonly Exhibit[] }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string }
);
