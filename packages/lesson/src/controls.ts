/** Controls of a chapter: numbers in a range, and choices among names. */

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

/** Whether the control accepts this value. */
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
