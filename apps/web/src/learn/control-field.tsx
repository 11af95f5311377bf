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
        step={control.step}
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

/** Returns the value at a position: an integer if the control requires it, otherwise rounded for display. */
export function sliderValue({ scale, from, to, isWhole = false }: RangeControl, position: number): number {
  const value = scale === 'log' ? 10 ** position : position;
  const rounded = isWhole ? Math.round(value) : Number(value.toPrecision(scale === 'log' ? 3 : 10));
  return Math.max(from, Math.min(to, rounded));
}

/** Returns the default settings of controls. */
export function defaultsOf(controls: Readonly<Record<string, Control>>): Settings {
  return Object.fromEntries(Object.entries(controls).map(([name, { fallback }]) => [name, fallback]));
}
