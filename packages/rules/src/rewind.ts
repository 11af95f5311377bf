/** How a run goes back: which earlier states it keeps, and what a return to one of them undoes. */
import { emit, type RunState, Shards, send, updateConnection, updateRecord } from './run-state.ts';
import { planStep } from './schedule.ts';
import type { Connection, KeptState, WorkerRecord } from './state.ts';

/**
 * Notes the workers whose unchecked results count from this step on, whose sum is complete.
 * @returns whether there is any
 */
export function noteContributors(run: RunState): boolean {
  const { step, shards } = run.current;
  let isAny = false;
  for (const { addedFrom, isDecided } of shards.values()) {
    const record = addedFrom === undefined ? undefined : run.records.get(addedFrom);
    if (!record || record.uncheckedFrom !== undefined) continue;
    // Rounding in another numeric mode may hide a lie.
    if (isDecided && record.numericsHash === run.setup.refereeHash) continue;
    updateRecord(run, record.id, { uncheckedFrom: step });
    isAny = true;
  }
  return isAny;
}

/** Keeps the state before the current step, to which the run may have to go back. */
export function keepState(run: RunState): void {
  const { keptStates = 0 } = run.setup;
  const { step } = run.current;
  if (keptStates === 0 || run.kept.at(-1)?.step === step) return;
  const kept = [...run.kept, { step, ...run.stepStart }];
  const forgotten = kept.length > 1 + keptStates ? leastUseful(run, kept) : undefined;
  run.kept = kept.filter((state) => state !== forgotten);
  if (forgotten?.step === step) return;
  run.commands.push({ type: 'keepState', step, ...(forgotten && { forget: forgotten.step }) });
}

/**
 * Returns the kept state to forget: one that the run would not go back to for a connected worker, else the one whose
 * absence costs the fewest steps. The first is never forgotten.
 */
function leastUseful(run: RunState, kept: readonly KeptState[]): KeptState {
  const useful = new Set<KeptState | undefined>();
  for (const { workerId = '' } of run.connections.values()) {
    const { uncheckedFrom } = run.records.get(workerId) ?? {};
    if (uncheckedFrom !== undefined) useful.add(kept.findLast(({ step }) => step <= uncheckedFrom));
  }
  const others = kept.slice(1);
  const useless = others.find((state) => !useful.has(state));
  if (useless) return useless;
  const stepsBefore = (state: KeptState): number => state.step - kept[kept.indexOf(state) - 1]!.step;
  return others.reduce((least, state) => (stepsBefore(state) < stepsBefore(least) ? state : least));
}

/**
 * Returns the first steps that may contain wrong results of a worker that was caught: of its own, and of workers of its
 * address that have left, which may have been the same one.
 */
export function firstWrongSteps(run: RunState, { id, origin }: WorkerRecord): number[] {
  return [...run.records.values()].flatMap(({ id: other, origin: from, leftAtMs, uncheckedFrom }) => {
    const isSame = other === id || (leftAtMs !== undefined && origin !== undefined && from === origin);
    return isSame && uncheckedFrom !== undefined ? [uncheckedFrom] : [];
  });
}

/**
 * Goes back to the newest kept state before the steps of `firsts`, from each of which on results may be wrong. A resumed
 * run cannot undo those that its checkpoint contains, so its weights become unverified.
 * @returns whether the run went back
 */
export function goBack(run: RunState, firsts: readonly number[], workerId: string): boolean {
  const oldest = run.kept[0]?.step ?? Number.POSITIVE_INFINITY;
  const undoable = firsts.filter((step) => step >= oldest);
  if (undoable.length < firsts.length) run.isTainted = true;
  if (undoable.length === 0) return false;
  const first = Math.min(...undoable);
  const index = run.kept.findLastIndex(({ step }) => step <= first);
  const state = run.kept[index]!;
  const { step: to, checked, contributed } = state;
  const { step: from } = run.current;
  run.kept = run.kept.slice(0, index + 1);
  run.stepStart = { checked, contributed };
  Object.assign(run, run.stepStart);
  run.rewinds = [...run.rewinds, { workerId, from, to }];
  run.commands.push({ type: 'goBack', step: to });
  recall(run, to);
  run.current = { step: to, shards: new Shards() };
  run.current = planStep(run, to);
  emit(run, { type: 'wentBack', workerId, from, to });
  return true;
}

/** Undoes what is known of this step and later ones, and tells the workers, whose results until then are stale. */
export function recall(run: RunState, step: number): void {
  run.next = undefined;
  for (const { id, uncheckedFrom = -1, wrongFrom = -1 } of run.records.values()) {
    if (uncheckedFrom >= step) updateRecord(run, id, { uncheckedFrom: undefined });
    if (wrongFrom >= step) updateRecord(run, id, { wrongFrom: undefined });
  }
  for (const connection of run.connections.values()) recallWorker(run, connection, step);
}

/** Tells a worker that this step and later ones begin again; it must owe nothing. */
export function recallWorker(
  run: RunState,
  { connection, phase, newestResult, turn, recalled: before }: Connection,
  step: number,
): void {
  updateConnection(run, connection, {
    newestResult: Math.min(newestResult, step - 1),
    ...(turn && turn.step >= step && { turn: undefined }),
  });
  // A worker in its numerics check has no tasks and no weights.
  if (phase !== 'ready') return;
  const recalled = { unanswered: 1 + (before?.unanswered ?? 0), sinceMs: run.nowMs };
  updateConnection(run, connection, {
    ...{ recalled, weightsStep: -1, trial: undefined, answerByMs: undefined, transferCreditMs: 0 },
  });
  send(run, connection, { type: 'goBack', step });
}

/** Takes a worker's answer that it has gone back: its results from now on are no longer stale. */
export function takeWentBack(run: RunState, { connection, recalled }: Connection): void {
  const unanswered = (recalled?.unanswered ?? 0) - 1;
  updateConnection(run, connection, { recalled: recalled && unanswered > 0 ? { ...recalled, unanswered } : undefined });
}
