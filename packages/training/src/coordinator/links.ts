/** What a worker's link costs: the part of a result's time that is neither computing nor waiting in the worker. */
import { type Draft, emit, updateConnection } from './draft.ts';
import type { Connection } from './state.ts';

/** Weight of the newest measurement. */
const smoothing = 0.3;
/** A link counts as slow once it takes this long for a step, and several times as long as computing … */
const slowMs = 500;
const slowFactor = 3;
/** … measured on so many results. */
const enoughResults = 3;

/** A first estimate, from the numerics check: it carries weights one way and a gradient back, as a step does. */
export function estimateLink(draft: Draft, { connection, link }: Connection, networkMs: number): void {
  if (link.results > 0) return;
  updateConnection(draft, connection, { link: { ...link, networkMs: Math.max(0, networkMs) } });
}

interface ResultTimes {
  /** From the last thing that the worker needed for it. */
  readonly totalMs: number;
  readonly computeMs: number;
  /** For which the worker had all that it needed, as it says. */
  readonly turnaroundMs?: number | undefined;
}

/** One more result; reports a link that is slow. The links behind a relay are part of its own. */
export function measureLink(
  draft: Draft,
  { connection, workerId, link }: Connection,
  { totalMs, computeMs, turnaroundMs = 0 }: ResultTimes,
): void {
  const isRelay = draft.records.get(workerId ?? '')?.kind === 'relay';
  const measured = Math.max(0, totalMs - (isRelay ? computeMs : Math.max(computeMs, turnaroundMs)));
  const networkMs = link.results > 0 ? link.networkMs + smoothing * (measured - link.networkMs) : measured;
  const results = link.results + 1;
  const isSlow = results >= enoughResults && networkMs > Math.max(slowMs, slowFactor * computeMs);
  if (isSlow && !link.slownessReported)
    emit(draft, { type: 'slowLink', workerId: workerId ?? '', networkMs, computeMs });
  updateConnection(draft, connection, {
    link: { networkMs, results, slownessReported: link.slownessReported || isSlow },
  });
}
