/** Settings of this person, which the browser remembers: the color theme, and how the curves are shown. */
import { computed, effect, type Signal, signal } from '@preact/signals';
import type { CurveAxis, CurveView } from '../watch/curves.ts';

/**
 * Returns a signal whose value is stored under `key`.
 * @param read validates the stored value; returns undefined if it is invalid
 */
function remembered<Value>(key: string, fallback: Value, read: (stored: unknown) => Value | undefined): Signal<Value> {
  const value = signal(read(parse(localStorage.getItem(key) ?? 'null')) ?? fallback);
  effect(() => localStorage.setItem(key, JSON.stringify(value.value)));
  return value;
}

/** Returns text that is not JSON as it is. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

/** The system's theme, until a person chooses light or dark. */
export const theme = remembered<Theme>('lockstep.theme', 'system', (stored) =>
  themes.find((known) => known === stored),
);
effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
});

export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length]!;
}

const darkPreference = matchMedia('(prefers-color-scheme: dark)');
const prefersDark = signal(darkPreference.matches);
darkPreference.addEventListener('change', ({ matches }) => {
  prefersDark.value = matches;
});

export const colorScheme = computed(() => {
  if (theme.value !== 'system') return theme.value;
  return prefersDark.value ? 'dark' : 'light';
});

const swatch = document.createElement('span');
swatch.hidden = true;
// Forced system colors would make the curves indistinguishable.
swatch.style.forcedColorAdjust = 'none';
document.body.append(swatch);

/** Resolves a color token such as `--text`, for canvases. Effects that call it run again when the scheme changes. */
export function cssColor(token: string): string {
  swatch.style.colorScheme = colorScheme.value;
  swatch.style.color = `var(${token})`;
  return getComputedStyle(swatch).color;
}

export interface ChartSettings extends CurveView {
  /** Whether the axis of the loss is logarithmic. */
  readonly isLogarithmic: boolean;
}

/** Names of the axes within a sentence: "over the epochs". */
export const axisTitles: Readonly<Record<CurveAxis, string>> = { epoch: 'epochs', step: 'steps', time: 'seconds' };

/** Choices for the number of points in the moving mean. */
export const memories = [1, 5, 15, 40, 120, 400] as const;

const fallback: ChartSettings = { axis: 'epoch', memory: 40, isLogarithmic: true };

export const chartSettings = remembered('lockstep.charts', fallback, (stored) => {
  const { axis, memory, isLogarithmic } = { ...fallback, ...(stored as Partial<ChartSettings> | null) };
  const isKnown = axis in axisTitles && memories.some((each) => each === memory) && typeof isLogarithmic === 'boolean';
  return isKnown ? { axis, memory, isLogarithmic } : undefined;
});
