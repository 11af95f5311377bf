/** How a long piece of work lets sockets, timers and steps have their turn. */

/** Where the steps are computed in this process too, neither they nor the work should wait for each turn of the other. */
const inlineMs = 10;

/**
 * @param isInline whether the steps are computed in this process; otherwise each call is a turn, for the workers' messages
 * @param defer calls back when other events have had their turn
 */
export function createPause(
  isInline: boolean,
  nowMs: () => number,
  defer: (callback: () => void) => void,
): () => Promise<void> {
  let turnAtMs = nowMs();
  return async () => {
    if (isInline && nowMs() - turnAtMs < inlineMs) return;
    await new Promise<void>((resolve) => defer(resolve));
    turnAtMs = nowMs();
  };
}
