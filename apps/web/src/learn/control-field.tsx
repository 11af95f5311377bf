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
    return <Choice label={label} value={`${value}`} options={control.names} onChoose={onChange} />;
  }
  const [min, max, at] = [control.from, control.to, Number(value)].map((each) => sliderPosition(control, each));
  return (
    <Slider
      id={`control-${name}`}
      label={label}
      {...{ min: min!, max: max!, step: sliderStep(control), value: at! }}
      text={`${value}`}
      onInput={(position) => onChange(sliderValue(control, position))}
    />
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

export function controlDefaults(controls: Readonly<Record<string, Control>>): Settings {
  return Object.fromEntries(Object.entries(controls).map(([name, { fallback }]) => [name, fallback]));
}
