/** A chapter's control as a slider, on a linear or logarithmic scale, or a list of names. */
import type { Control, RangeControl, Setting } from '@lockstep/lesson';
import { Choice, Slider } from '../look/controls.tsx';
import type { Settings } from './messages.ts';

interface ControlFieldProps {
  readonly name: string;
  readonly control: Control;
  readonly value: Setting;
  readonly onChange: (value: Setting) => void;
}

export function ControlField({ name, control, value, onChange }: ControlFieldProps) {
  const { label } = control;
  if (control.kind === 'choice') {
    const options = control.names.map((choice) => [choice, choice] as const);
    return <Choice label={label} value={`${value}`} options={options} onChoose={onChange} />;
  }
  const [min, max, at] = [control.from, control.to, Number(value)].map((each) => sliderPosition(control, each));
  return (
    <Slider
      id={`control-${name}`}
      label={label}
      {...{ min: min!, max: max!, step: control.step, value: at! }}
      text={`${value}`}
      onInput={(position) => onChange(sliderValue(control, position))}
    />
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
