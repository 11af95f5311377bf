/** Defines a chapter: a claim, text, controls, a computation, and exhibits of its result. */
import type { HostBackend } from '@lockstep/tensor';
import { type Controls, type Setting, type SettingsOf, settingsOf } from './controls.ts';
import type { Digits, DigitsUse } from './digits.ts';
import type { Exhibit } from './exhibit.ts';
import type { LiveDefinition } from './live/live-settings.ts';

/** Resources that a chapter computes with. */
export interface LessonContext {
  readonly backend: HostBackend;
  /** Required by chapters that use digits. */
  readonly digits?: Digits | undefined;
  /** A clock in milliseconds, for the chapters that measure. */
  readonly nowMs: () => number;
}

interface ChapterText {
  /** Name in addresses and on the command line. */
  readonly id: string;
  readonly title: string;
  /** One sentence that the chapter shows to be true. */
  readonly claim: string;
  /** Paragraphs; `[[term]]` and `[[term|other form]]` stand for terms of the glossary. */
  readonly text: readonly string[];
  /** Omitted by chapters without digits. */
  readonly digits?: DigitsUse;
  /** A network that trains while its settings change. */
  readonly live?: LiveDefinition;
}

/** A chapter in a table of chapters, without the types of its settings and result. */
export interface Chapter extends ChapterText {
  readonly controls: Controls;
  /**
   * Yields exhibits repeatedly while the chapter computes; the last ones show its result.
   * @throws RangeError if a control does not accept its setting
   */
  exhibits(
    context: LessonContext,
    settings: Readonly<Record<string, Setting | undefined>>,
  ): Generator<readonly Exhibit[], void>;
}

interface ChapterDefinition<Table extends Controls, Result> extends ChapterText {
  readonly controls: Table;
  /** Yields results while it computes; only the last one is complete. */
  run(context: LessonContext, settings: SettingsOf<Table>): Generator<Result, void>;
  show(result: Result): readonly Exhibit[];
}

/** A chapter whose result and settings have types. */
export interface TypedChapter<Table extends Controls, Result> extends Chapter {
  readonly controls: Table;
  /** Returns the last result. */
  result(context: LessonContext, settings?: Partial<SettingsOf<Table>>): Result;
}

export function defineChapter<const Table extends Controls, Result>(
  definition: ChapterDefinition<Table, Result>,
): TypedChapter<Table, Result> {
  const { run, show, ...rest } = definition;
  return {
    ...rest,
    *exhibits(context, given) {
      for (const result of run(context, settingsOf(rest.controls, given))) yield show(result);
    },
    result(context, given = {}) {
      let last: Result | undefined;
      for (const result of run(context, settingsOf(rest.controls, given as Record<string, Setting>))) last = result;
      if (last === undefined) throw new Error(`chapter ${rest.id}: expected a result, got none`);
      return last;
    },
  };
}
