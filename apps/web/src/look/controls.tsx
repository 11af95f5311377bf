/** Small parts of every view: cards, figures, and what buttons and inputs need. */

import { type Signal, useSignal } from '@preact/signals';
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

interface CardProps {
  /** Determines the card's class and the id of its title. */
  readonly name: string;
  readonly title: ComponentChildren;
  /** Text is shown as a note, elements as they are. */
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Card({ name, title, aside, children }: CardProps) {
  return (
    <section class={`card ${name}-card`} aria-labelledby={`${name}-title`}>
      <header class="row card-head">
        <h2 id={`${name}-title`}>{title}</h2>
        {typeof aside === 'string' ? <p class="aside">{aside}</p> : aside}
      </header>
      {children}
    </section>
  );
}

interface ScrollRegionProps {
  readonly label: string;
  readonly class?: string;
  readonly region?: RefObject<HTMLElement | null> | undefined;
  readonly children: ComponentChildren;
}

/** A region that scrolls, and so must be reachable by keyboard. */
export function ScrollRegion({ label, class: look = '', region, children }: ScrollRegionProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: for the keys that scroll
    <section ref={region ?? null} class={`scroll ${look}`} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}

interface FigureProps {
  readonly label: ComponentChildren;
  readonly note?: string | undefined;
  readonly value: ComponentChildren;
}

export function Figure({ label, note, value }: FigureProps) {
  return (
    <div class="figure">
      <dt>
        {label}
        {note && <small> {note}</small>}
      </dt>
      <dd class={value === undefined ? 'unknown' : ''}>{value ?? '–'}</dd>
    </div>
  );
}

interface KeyProps {
  /** Color token. */
  readonly color: string;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** The meaning of a color, next to a sample of it. */
export function Key({ color, class: look = '', children }: KeyProps) {
  return (
    <span class={`key ${look}`} style={{ '--key': `var(${color})` }}>
      {children}
    </span>
  );
}

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const outcome = useSignal<{ readonly text: string; readonly isCopied: boolean }>();
  const copy = async (): Promise<void> => {
    outcome.value = { text, isCopied: await copyText(text) };
  };
  const isNews = outcome.value?.text === text;
  return (
    <button type="button" onClick={copy}>
      {isNews ? (outcome.value?.isCopied ? 'Copied' : 'Select it and copy it by hand') : label}
    </button>
  );
}

/** @returns whether the text was copied */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** Copies the selection of a temporary text field: the old way, which works in every context. */
function copySelected(text: string): boolean {
  const focused = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'sr-only';
  // A field outside of an open popover would close it.
  (focused?.parentElement ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand('copy');
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return isCopied;
}

export function bindInput<Value extends string>(bound: Signal<Value>) {
  return {
    value: bound.value,
    onInput(event: { readonly currentTarget: { readonly value: string } }) {
      bound.value = event.currentTarget.value as Value;
    },
  };
}

interface FileInputProps {
  readonly label: string;
  readonly accept?: string;
  readonly multiple?: boolean;
  readonly webkitdirectory?: boolean;
  readonly disabled?: boolean;
  readonly onChoose: (files: readonly File[]) => void;
}

export function FileInput({ label, onChoose, ...input }: FileInputProps) {
  return (
    <label>
      {label}
      <input
        {...input}
        type="file"
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])];
          // Lets a person choose the same files again after they have changed.
          currentTarget.value = '';
          if (files.length > 0) onChoose(files);
        }}
      />
    </label>
  );
}

interface ChoiceProps<Value extends string> {
  readonly label: ComponentChildren;
  readonly value: NoInfer<Value>;
  /** Values, or values and their texts. */
  readonly options: readonly (Value | readonly [value: Value, text: string])[];
  readonly isDisabled?: boolean;
  readonly onChoose: (value: Value) => void;
}

/** A list to choose one of several options from. */
export function Choice<Value extends string>({ label, value, options, isDisabled, onChoose }: ChoiceProps<Value>) {
  const pairs = options.map((option) => (typeof option === 'string' ? ([option, option] as const) : option));
  return (
    <label>
      {label}
      <select
        value={value}
        disabled={isDisabled}
        onChange={({ currentTarget }) => onChoose(currentTarget.value as Value)}
      >
        {pairs.map(([key, text]) => (
          <option key={key} value={key} dir="auto">
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface SliderProps {
  readonly id: string;
  readonly label: string;
  /** Position of the slider, between `min` and `max`. */
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  /** The value that the position stands for. */
  readonly text: string;
  readonly onInput: (position: number) => void;
}

export function Slider({ id, label, text, onInput, ...input }: SliderProps) {
  return (
    <p class="field">
      <label for={id}>{label}</label>
      <output for={id}>{text}</output>
      <input
        id={id}
        type="range"
        aria-valuetext={text}
        {...input}
        onInput={({ currentTarget }) => onInput(Number(currentTarget.value))}
      />
    </p>
  );
}

/**
 * If the focus was in the element and a new `version` removes or disables the focused control, moves the focus to the
 * first control in the element.
 */
export function useKeptFocus<Kind extends HTMLElement>(version: unknown): RefObject<Kind | null> {
  const element = useRef<Kind>(null);
  // Removing a focused control fires no focusin event: the last place counts, until a pointer is used outside.
  const isHere = useRef(false);
  useEffect(() => {
    const follow = ({ target }: Event): void => {
      isHere.current = target instanceof Node && (element.current?.contains(target) ?? false);
    };
    document.addEventListener('focusin', follow);
    document.addEventListener('pointerdown', follow);
    return () => {
      document.removeEventListener('focusin', follow);
      document.removeEventListener('pointerdown', follow);
    };
  }, []);
  useLayoutEffect(() => {
    const { activeElement, body } = document;
    const isLost = !activeElement || activeElement === body || activeElement.matches(':disabled');
    if (!isHere.current || !isLost) return;
    const first = element.current?.querySelector<HTMLElement>('button:not(:disabled), input:not(:disabled), a[href]');
    first?.focus({ preventScroll: true });
  }, [version]);
  return element;
}

/** Object URL of the last file, kept because a browser may still be reading it after the click. */
let lastAddress: string | undefined;

export function download(name: string, content: Blob): void {
  if (lastAddress !== undefined) URL.revokeObjectURL(lastAddress);
  const address = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  lastAddress = address;
}
