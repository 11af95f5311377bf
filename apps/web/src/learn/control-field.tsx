/** A chapter's control as a slider, on a linear or logarithmic scale, or a list of names. */
import type { Control, RangeControl, Setting } from '@lockstep/lesson';
import type { Settings } from './messages.ts';

interface FieldProps<Kind extends Control> {
  readonly name: string;
  readonly control: Kind;
  readonly value: Setting;
  readonly onChange: (value: Setting) => void;
}

export function ControlField({ control, ...props }: FieldProps<Control>) {
  if (control.kind === 'range') return <Slider control={control} {...props} />;
  return (
    <label>
      {control.label}
      <select value={props.value} onChange={({ currentTarget }) => props.onChange(currentTarget.value)}>
        {control.names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Slider({ name, control, value, onChange }: FieldProps<RangeControl>) {
  const id = `control-${name}`;
  return (
    <p class="field">
      <label for={id}>{control.label}</label>
      <output for={id}>{value}</output>
      <input
        id={id}
        type="range"
        min={sliderPosition(control, control.from)}
        max={sliderPosition(control, control.to)}
        step={sliderStep(control)}
        value={sliderPosition(control, Number(value))}
        aria-valuetext={String(value)}
        onInput={({ currentTarget }) => onChange(sliderValue(control, Number(currentTarget.value)))}
      />
    </p>
  );
}

export function sliderPosition({ scale }: RangeControl, value: number): number {
  return scale === 'log' ? Math.log10(value) : value;
}

/** Returns the distance between positions. On a logarithmic scale it divides the range, so that both ends are positions. */
export function sliderStep(control: RangeControl): number {
  if (control.scale !== 'log') return control.step;
  const range = sliderPosition(control, control.to) - sliderPosition(control, control.from);
  // Browsers drop a last position that lies beyond the end, even if only by a rounding error.
  return (range / Math.ceil(range / control.step)) * (1 - 1e-9);
}

/**
 * Returns the value at a position. On a logarithmic scale, this is the default, an end or else the roundest number within
 * half a step, so that a slider can return to its default and reach the numbers that a chapter names.
 */
export function sliderValue(control: RangeControl, position: number): number {
  const { from, to, fallback, isWhole = false } = control;
  const halfStep = sliderStep(control) / 2;
  const isNear = (value: number): boolean => Math.abs(sliderPosition(control, value) - position) <= halfStep;
  const value =
    control.scale === 'log'
      ? ([fallback, from, to].find(isNear) ?? roundest(10 ** position, isNear))
      : Number(position.toPrecision(10));
  return Math.max(from, Math.min(to, isWhole ? Math.round(value) : value));
}

/** Returns the value with the fewest significant digits that is accepted. */
function roundest(value: number, accepts: (rounded: number) => boolean): number {
  for (let digits = 1; digits < 10; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (accepts(rounded)) return rounded;
  }
  return value;
}

/** Returns the default settings of controls. */
export function defaultsOf(controls: Readonly<Record<string, Control>>): Settings {
  return Object.fromEntries(Object.entries(controls).map(([name, { fallback }]) => [name, fallback]));
}
