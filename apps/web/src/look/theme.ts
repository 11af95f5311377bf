/** Light or dark: as the system says, until somebody chooses. */
import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const storageKey = 'lockstep.theme';
const order: readonly Theme[] = ['system', 'light', 'dark'];

export const theme = signal<Theme>(readTheme());

/** Changes whenever colors on the page do, for what is painted and not styled. */
export const palette = signal(0);

effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
  localStorage.setItem(storageKey, theme.value);
  palette.value = palette.peek() + 1;
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  palette.value++;
});

export function nextTheme(): void {
  theme.value = order[(order.indexOf(theme.value) + 1) % order.length]!;
}

/** A color of the stylesheet, for canvases: resolved, since `light-dark()` means nothing to them. */
export function cssColor(name: string): string {
  const numericsCheck = colorProbe();
  numericsCheck.style.color = `var(${name})`;
  return getComputedStyle(numericsCheck).color;
}

let probeElement: HTMLElement | undefined;

function colorProbe(): HTMLElement {
  if (!probeElement) {
    probeElement = document.createElement('span');
    probeElement.hidden = true;
    document.body.append(probeElement);
  }
  return probeElement;
}

function readTheme(): Theme {
  const stored = localStorage.getItem(storageKey);
  return order.find((known) => known === stored) ?? 'system';
}
