/** Keeps the keyboard focus in place when the control that was pressed is replaced. */
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

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
