/** The controls of a chapter as command-line options. */
import { kindOf, type Option } from '@lockstep/command';
import { accepts, type Chapter, type Control, expectedOf, type LiveDefinition, type Setting } from '@lockstep/lesson';

type ControlOptions = Readonly<Record<string, Option<Setting>>>;

/** Options by name: `--start-x` for the control `startX`, `--live-lr` for `lr` of the live run. */
export function controlOptions({ controls, live }: Chapter): ControlOptions {
  const own = Object.entries(controls).map(([name, control]) => [optionName(name), optionOf(control)]);
  const lives = Object.entries(live?.controls ?? {}).map(([name, control]) => [
    liveOptionName(name),
    optionOf({ ...control, label: `Live run, ${control.label.toLowerCase()}` }),
  ]);
  return Object.fromEntries([...own, ...lives]);
}

/** The given settings, by the names of controls. */
export function givenSettings({ controls }: Chapter, values: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.keys(controls).map((name) => [name, values[optionName(name)] as Setting | undefined]),
  );
}

/** Like `givenSettings`, for the chapter's live run. */
export function givenLiveSettings({ controls }: LiveDefinition, values: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.keys(controls).map((name) => [name, values[liveOptionName(name)] as Setting | undefined]),
  );
}

function liveOptionName(control: string): string {
  return `live-${optionName(control)}`;
}

function optionName(control: string): string {
  return control.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function optionOf(control: Control): Option<Setting> {
  const { kind, label, fallback } = control;
  return {
    kind: {
      ...kindOf<Setting>(expectedOf(control), (value) => accepts(control, value as Setting)),
      placeholder: kind === 'choice' ? 'NAME' : control.isWhole ? 'N' : 'X',
      read: (text) => (kind === 'choice' ? text : text.trim() === '' ? Number.NaN : Number(text)),
    },
    help: `${label}: ${expectedOf(control)}`,
    defaultText: String(fallback),
  };
}
