/** A person's settings, remembered by this browser. */
import { effect, type Signal, signal } from '@preact/signals';

/**
 * Returns a signal whose value is stored under `key`.
 * @param read validates the stored value; returns undefined if it is invalid
 */
export function remembered<Value>(
  key: string,
  fallback: Value,
  read: (stored: unknown) => Value | undefined,
): Signal<Value> {
  const value = signal(read(parse(localStorage.getItem(key))) ?? fallback);
  effect(() => localStorage.setItem(key, JSON.stringify(value.value)));
  return value;
}

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return undefined;
  }
}
