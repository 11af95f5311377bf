/** Defines a chapter: a claim, text, controls, a computation, and exhibits of its result. */
import type { HostBackend } from '@lockstep/tensor';
import type { Digits, DigitsUse } from './digits.ts';
import type { Exhibit } from './exhibit.ts';

/** Resources that a chapter computes with. */
export interface LessonContext {
  readonly backend: HostBackend;
  /** Required by chapters that use digits. */
  readonly digits?: Digits | undefined;
  /** A clock in milliseconds, for the chapters that measure. */
  readonly nowMs: () => number;
}

/** The live run of a chapter. */
export interface LiveDefinition {
  readonly caption: string;
  /** Suggests what to try, and says what can be seen. */
  readonly hint: string;
  /** Keyed by names of the settings of a live network. */
  readonly controls: Controls;
  /** Values of the settings that no control of the chapter changes. */
  readonly fixed: Readonly<Record<string, Setting>>;
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
  show(result: Result): readonly Exhibit[];
}

export function defineChapter<const Table extends Controls, Result>(
  definition: ChapterDefinition<Table, Result>,
): TypedChapter<Table, Result> {
  const { run, show, ...rest } = definition;
  return {
    ...rest,
    show,
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

export interface RangeControl {
  readonly kind: 'range';
  readonly label: string;
  readonly from: number;
  readonly to: number;
  readonly fallback: number;
  /** Distance between neighboring values, or between their base-10 logarithms if the scale is `log`. */
  readonly step: number;
  /** Default `linear`. */
  readonly scale?: 'linear' | 'log';
  readonly isWhole?: boolean;
}

export interface ChoiceControl<Name extends string = string> {
  readonly kind: 'choice';
  readonly label: string;
  readonly names: readonly Name[];
  readonly fallback: Name;
}

export type Control = RangeControl | ChoiceControl;
export type Controls = Readonly<Record<string, Control>>;
export type Setting = number | string;

export type SettingsOf<Table extends Controls> = {
  readonly [Name in keyof Table]: Table[Name] extends ChoiceControl<infer Choice> ? Choice : number;
};

export function range(options: Omit<RangeControl, 'kind'>): RangeControl {
  return { kind: 'range', ...options };
}

/** Creates a control for a whole number. */
export function count(options: Omit<RangeControl, 'kind' | 'step' | 'isWhole'> & { step?: number }): RangeControl {
  return { kind: 'range', step: options.scale === 'log' ? 0.01 : 1, ...options, isWhole: true };
}

export function choice<const Name extends string>(
  label: string,
  names: readonly Name[],
  fallback: NoInfer<Name>,
): ChoiceControl<Name> {
  return { kind: 'choice', label, names, fallback };
}

/** Seed of every chapter that uses random numbers. */
export const seedControl = count({ label: 'Seed', from: 1, to: 100, fallback: 1 });

/** Describes the values of a control, such as "a number from 0 to 1". */
export function expectedOf(control: Control): string {
  if (control.kind === 'choice') return `one of ${control.names.join(', ')}`;
  return `a ${control.isWhole ? 'whole ' : ''}number from ${control.from} to ${control.to}`;
}

export function accepts(control: Control, value: unknown): boolean {
  if (control.kind === 'choice') return control.names.includes(value as string);
  if (typeof value !== 'number' || !(value >= control.from && value <= control.to)) return false;
  return !control.isWhole || Number.isInteger(value);
}

/**
 * Returns the settings of a chapter, with fallbacks for omitted settings.
 * @throws RangeError that names the setting, the expected values and the given one
 */
export function settingsOf<Table extends Controls>(
  controls: Table,
  given: Readonly<Record<string, Setting | undefined>>,
): SettingsOf<Table> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(controls, name)) {
      throw new RangeError(`${name}: expected one of ${Object.keys(controls).join(', ')}`);
    }
  }
  const entries = Object.entries(controls).map(([name, control]) => {
    const value = given[name] ?? control.fallback;
    if (!accepts(control, value)) throw new RangeError(`${name}: expected ${expectedOf(control)}, got ${value}`);
    return [name, value];
  });
  return Object.fromEntries(entries) as SettingsOf<Table>;
}
