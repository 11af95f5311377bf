/** Where a step in slow motion is, and whether it goes on by itself. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** Of a stage that goes on by itself. */
const stageMs = 4_000;

export type SlowMotion = ReturnType<typeof useSlowMotion>;

/** @param isHeld is set while a step is under way, so that its numbers stand still */
export function useSlowMotion(stages: number, isHeld: Signal<boolean>) {
  const position = useSignal(0);
  const isPlaying = useSignal(false);
  const last = Math.max(0, stages - 1);
  const go = (to: number): void => {
    position.value = Math.max(0, Math.min(last, to));
    isHeld.value = true;
    if (position.value === last) isPlaying.value = false;
  };
  useEffect(() => {
    if (!isPlaying.value) return undefined;
    const timer = setTimeout(() => go(position.value + 1), stageMs);
    return () => clearTimeout(timer);
  }, [isPlaying.value, position.value]);
  return {
    position: position.value,
    last,
    isPlaying: isPlaying.value,
    isHeld: isHeld.value,
    go,
    /** Goes on by itself, from the first stage where it was at the last; or no longer. */
    play(): void {
      const isAtEnd = position.value === last;
      if (isAtEnd) position.value = 0;
      isHeld.value = true;
      isPlaying.value = !isPlaying.value;
    },
    /** Back to the first stage, with the newest weights. */
    follow(): void {
      isPlaying.value = false;
      isHeld.value = false;
      position.value = 0;
    },
  };
}
