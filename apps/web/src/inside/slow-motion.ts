/** The position of a step in slow motion, and whether it advances by itself. */
import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** Duration of a stage while playing, in milliseconds. */
const stageMs = 4_000;

export type SlowMotion = ReturnType<typeof useSlowMotion>;

/** @param isHeld set while a step is shown, so that its numbers do not change */
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
    /** Starts or stops playing. At the last stage, starts again from the first. */
    play(): void {
      const isAtEnd = position.value === last;
      if (isAtEnd) position.value = 0;
      isHeld.value = true;
      isPlaying.value = !isPlaying.value;
    },
    /** Returns to the first stage and to the newest weights. */
    follow(): void {
      isPlaying.value = false;
      isHeld.value = false;
      position.value = 0;
    },
  };
}
