/** Settings of a person that this browser remembers. */
import { effect, type Signal, signal } from '@preact/signals';

/**
 * A signal whose value is stored under `key`.
 * @param read the stored value where it is one, undefined where it is not
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
