/** The color theme: the system's, until a person chooses light or dark. */
import { computed, effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const storageKey = 'lockstep.theme';
const themes: readonly Theme[] = ['system', 'light', 'dark'];

export const theme = signal(themes.find((known) => known === localStorage.getItem(storageKey)) ?? 'system');
effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
  localStorage.setItem(storageKey, theme.value);
});

const darkPreference = matchMedia('(prefers-color-scheme: dark)');
const prefersDark = signal(darkPreference.matches);
darkPreference.addEventListener('change', ({ matches }) => {
  prefersDark.value = matches;
});

export const colorScheme = computed(() => {
  if (theme.value !== 'system') return theme.value;
  return prefersDark.value ? 'dark' : 'light';
});

export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length]!;
}

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
