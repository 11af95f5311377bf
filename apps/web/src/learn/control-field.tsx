/** A chapter's control as a slider or a list of names. */
import type { Control, RangeControl, Setting } from '@lockstep/lesson';
import { sliderPosition, sliderValue } from './slider.ts';

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
