/** Keeps the keyboard where a person works when what they have pressed gives way to something else. */
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

/**
 * Where the focus was in the element and is lost with another `version`, because what had it is gone or disabled, it goes
 * to the first control in the element.
 */
export function useKeptFocus<Kind extends HTMLElement>(version: unknown): RefObject<Kind | null> {
  const element = useRef<Kind>(null);
  // What is removed with the focus tells nothing of it: the last place counts, until a pointer is used elsewhere.
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
