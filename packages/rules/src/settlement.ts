/** Settles workers' results: adds them, holds them for comparison or drops them; a wrong result ends its worker. */
import { toMessageText } from '@lockstep/protocol';
import { cancel, isAwaited, isDrawnForCheck, isRefereed, isTrial, referee, takeTrial } from './assignments.ts';
import type { CheckedMessage, CoordinatorEvent } from './events.ts';
import { addReadyTime, disconnect, endRun, protocolViolation, unassignAll } from './joining.ts';
import { stepBatch } from './plan.ts';
import { failAsked } from './progress.ts';
import { firstWrongSteps, goBack } from './rewind.ts';
import {
  countFault,
  emit,
  hasEnded,
  owesShard,
  type RunState,
  restartClock,
  send,
  updateConnection,
  updateRecord,
  updateShard,
} from './run-state.ts';
import type { Connection, ConnectionId, Contribution, ResultRef, ShardState } from './state.ts';
import { checkRate, measureLink, recordQuarantine, recordSuccess, speedAfter } from './track-record.ts';
import { type Shard, shardKey, shardText } from './tree.ts';

type GradientMessage = Extract<CheckedMessage, { type: 'gradient' }>;
type TaskErrorMessage = Extract<CheckedMessage, { type: 'taskError' }>;
type Refereed = Extract<CoordinatorEvent, { type: 'refereed' }>;

/**
 * `add`: the result counts. `hold`: it waits for a deciding result. `referee`: it is held, and the coordinator computes
 * the shard to decide. `compare`: it is a trial's late result, compared with the sum that was added. `drop`: it is
 * late, a duplicate, or of a shard that was not assigned to its worker.
 */
type Settlement = 'add' | 'hold' | 'referee' | 'compare' | 'drop';

/**
 * Settles a result. A result is dropped unless its worker owes the shard in the current step and has the step's
 * weights, or is on trial with the shard, however late. The coordinator's own result decides. A proven worker's result
 * counts if it equals every held one; the coordinator computes the shard if results differ, or if the shard or the
 * result is to be checked, which depends on the worker's record too. A newcomer's result never counts by itself.
 */
function settle(run: RunState, connection: Connection, result: GradientMessage): Settlement {
  const { connections, current } = run;
  const { connection: id, phase, isOwn, isProven, weightsStep, trial } = connection;
  const { agreesWith = [], isSuspect = false } = result;
  if (phase !== 'ready' || weightsStep < result.step) return 'drop';
  const shard = result.step === current.step ? current.shards.get(shardKey(result)) : undefined;
  if (!shard || !owesShard(shard, id)) return isTrial({ trial }, result) ? 'compare' : 'drop';
  if (isOwn) return 'add';
  if (isRefereed(shard)) return 'hold';
  const isAgreed = shard.held.every(({ connection }) => agreesWith.includes(connection));
  // A late result has cast doubt on one of the shard's workers.
  const isDoubted = shard.assignments.some(({ connection }) => connections.get(connection)?.isDoubted);
  const isDrawn = isProven && isDrawnForCheck(run, result, checkRate(run, connection));
  const isChecked = shard.policy === 'referee' || isDrawn || (isProven && (isSuspect || isDoubted));
  if (isChecked || !isAgreed) return 'referee';
  return isProven ? 'add' : 'hold';
}

export function takeGradient(run: RunState, connection: Connection, message: GradientMessage): void {
  const { connection: id, workerId = '', isOwn } = connection;
  const { step, lo, n, agreesWith = [] } = message;
  if (step > connection.weightsStep) {
    protocolViolation(run, connection, `a gradient of step ${step}, whose weights it was not sent`);
    return;
  }
  const settlement = settle(run, connection, message);
  if (message.isFinite === false && settlement !== 'drop') {
    const text = `the gradient of ${shardText({ lo, n })} is not finite`;
    takeTaskError(run, connection, { type: 'taskError', step, lo, n, code: 'non-finite', message: text });
    return;
  }
  updateConnection(run, id, { answerByMs: undefined });
  const wasTrial = takeTrial(run, connection, message);
  if (settlement === 'compare') takeLate(run, connection, message);
  if (settlement === 'compare' || settlement === 'drop') return;

  const shard = run.current.shards.get(shardKey(message))!;
  const startedAtMs = shard.assignments.find((assignment) => assignment.connection === id)?.startedAtMs;
  const totalMs = run.nowMs - (startedAtMs ?? connection.readyAtMs);
  const computeMs = Math.min(message.computeMs, totalMs);
  const result = { connection: id, workerId, computeMs };
  if (settlement !== 'add') hold(run, shard, result);
  if (settlement === 'referee') referee(run, shard);
  if (settlement === 'add' && isOwn) decide(run, shard, agreesWith, result);
  else if (settlement === 'add') accept(run, shard, result);
  // A lie that this result has shown may have taken the run back.
  if (run.current.step !== step) return;
  restartClocks(run, id);
  const speed = wasTrial ? {} : speedAfter(connection, { samples: shard.samples, computeMs, totalMs });
  updateConnection(run, id, { taskErrors: 0, transferCreditMs: 0, newestResult: step, ...speed });
  if (!wasTrial) measureLink(run, connection, { totalMs, computeMs, turnaroundMs: message.turnaroundMs });
}

function hold(run: RunState, shard: ShardState, result: ResultRef): void {
  const assignments = shard.assignments.filter(({ connection }) => connection !== result.connection);
  updateShard(run.current, shard, { held: [...shard.held, result], assignments });
  run.commands.push({ type: 'hold' });
}

/** Adds a proven worker's result, which confirms the held ones because it equals them all. */
function accept(run: RunState, shard: ShardState, result: ResultRef): void {
  const { held } = shard;
  complete(run, shard, result, { isChecked: held.length > 0, isDecided: false });
  if (held.length === 0) return;
  for (const { connection } of [...held, result]) recordSuccess(run, connection);
}

/** Takes a shard that the coordinator has computed. */
export function takeRefereed(run: RunState, event: Refereed): void {
  const { step, lo, n, agreesWith } = event;
  const shard = run.current.shards.get(shardKey({ lo, n }));
  if (step !== run.current.step || !shard || shard.done) return;
  if (event.isFinite) decide(run, shard, agreesWith);
  else if (run.setup.isRelay) failAsked(run, 'the gradient is not finite, and the relay finds the same');
  else endRun(run, divergence(run, shard), { hasDiverged: true });
}

/**
 * Adds a shard that the coordinator itself has computed, so that every held result that differs is wrong. An equal held
 * result is added in its worker's name, so that the run's numeric modes stay its workers'.
 * @param right connections whose held result equals the coordinator's
 * @param own the result, if the coordinator's own worker has computed it
 */
function decide(run: RunState, shard: ShardState, right: readonly ConnectionId[], own?: ResultRef): void {
  const isRight = ({ connection }: ResultRef): boolean => right.includes(connection);
  const place = { step: run.current.step, lo: shard.lo, n: shard.n };
  const confirmed = shard.held.filter(isRight);
  const wrong = [...shard.held.filter((result) => !isRight(result)), ...falseClaims(run, shard)];
  complete(run, shard, own ?? confirmed[0], { isChecked: true, isDecided: true });
  for (const { connection } of confirmed) recordSuccess(run, connection, true);
  for (const result of wrong) quarantine(run, result, place);
}

/** Workers of the coordinator's numeric mode that called this finite shard non-finite; other modes may overflow. */
function falseClaims(run: RunState, { nonFiniteFrom }: ShardState): ResultRef[] {
  return nonFiniteFrom.flatMap((connection) => {
    const record = run.records.get(run.connections.get(connection)?.workerId ?? '');
    if (record === undefined || record.numericsHash !== run.setup.refereeHash) return [];
    return [{ connection, workerId: record.id, computeMs: 0 }];
  });
}

/** Adds a result, or the referee's if none is given, and drops the shard's other results. */
function complete(
  run: RunState,
  shard: ShardState,
  result: ResultRef | undefined,
  { isChecked, isDecided }: Pick<ShardState, 'isChecked' | 'isDecided'>,
): void {
  const { lo, n, samples } = shard;
  const { step } = run.current;
  const from = result?.connection ?? 0;
  const keep = isAwaited(run, shard, result?.connection);
  cancel(run, shard, result?.connection);
  updateShard(run.current, shard, { done: true, assignments: [], addedFrom: result?.workerId, isChecked, isDecided });
  run.commands.push({ type: 'add', step, lo, n, from, workerId: result?.workerId, isChecked, keep });
  if (result) recordContribution(run, result, samples);
  else recordOwnContribution(run);
}

function recordContribution(run: RunState, { workerId, computeMs }: ResultRef, samples: number): void {
  const record = run.records.get(workerId);
  if (!record) return;
  const { numericMode, numericsHash, backend } = record;
  if (numericsHash !== undefined) addContribution(run, { numericMode, numericsHash, backend });
  updateRecord(run, workerId, {
    shards: record.shards + 1,
    samples: record.samples + samples,
    computeMs: record.computeMs + computeMs,
  });
}

/** Records the coordinator's contribution. Its backend needs no name of its own, since the numeric mode says all. */
function recordOwnContribution(run: RunState): void {
  const { refereeMode: numericMode, refereeHash: numericsHash } = run.setup;
  if (numericMode === undefined || numericsHash === undefined) return;
  addContribution(run, { numericMode, numericsHash, backend: 'coordinator' });
}

function addContribution(run: RunState, contribution: Contribution): void {
  const { numericMode, numericsHash } = contribution;
  const isKnown = run.contributed.some(
    (known) => known.numericMode === numericMode && known.numericsHash === numericsHash,
  );
  if (!isKnown) run.contributed = [...run.contributed, contribution];
}

/** Takes a trial's result that came after its shard was done, and was compared with the sum that was added. */
function takeLate(
  run: RunState,
  { connection: id, workerId = '' }: Connection,
  { step, lo, n, computeMs, comparison }: GradientMessage,
): void {
  // The sum was not kept, so the worker gets another trial.
  if (!comparison) return;
  if (comparison.isSame) {
    recordSuccess(run, id);
    if (step === run.current.step) updateShard(run.current, { lo, n }, { isChecked: true });
  } else if (comparison.isChecked) {
    quarantine(run, { connection: id, workerId, computeMs }, { step, lo, n });
  } else {
    updateConnection(run, id, { isDoubted: true });
  }
}

/** Restarts the clocks of a worker's remaining shards at each result, since it computes one shard after another. */
function restartClocks(run: RunState, id: ConnectionId): void {
  for (const { assignments } of run.current.shards.ownedBy(id)) {
    for (const assignment of assignments) if (assignment.connection === id) restartClock(run, assignment);
  }
}

/**
 * Ends a worker whose result was wrong. The run goes back to before the worker's first unchecked result; if that is of
 * the current step, the step begins again.
 */
function quarantine(
  run: RunState,
  { connection: id, workerId }: ResultRef,
  { step, lo, n }: Shard & { readonly step: number },
): void {
  const record = run.records.get(workerId);
  if (!record || record.quarantined !== undefined) return;
  const message = toMessageText(`its result for step ${step + 1}, ${shardText({ lo, n })}, was wrong`);
  countFault(run, 'quarantined');
  updateRecord(run, workerId, { quarantined: message });
  emit(run, { type: 'quarantined', workerId, message, shards: record.shards });
  const connection = run.connections.get(id);
  if (connection) {
    recordQuarantine(run, connection);
    send(run, id, { type: 'refuse', code: 'numerics', message });
    disconnect(run, connection, message, 1008);
  }
  const firsts = run.setup.isRelay ? [] : firstWrongSteps(run, record);
  if (!goBack(run, firsts, workerId)) restartStep(run, workerId);
}

/** Restarts the step if it contains the worker's results, because a sum cannot be subtracted from the total exactly. */
export function restartStep(run: RunState, workerId: string): void {
  const { step, asked, shards } = run.current;
  if (![...shards.values()].some(({ addedFrom }) => addedFrom === workerId)) return;
  run.commands.push({ type: 'restartStep', step, ...(asked && { asked }) });
  if (!run.setup.isRelay) Object.assign(run, run.stepStart);
  for (const shard of [...shards.values()]) {
    // Shards that were done have no assignments any more. Without held results a referee has nothing to decide.
    const assignments = shard.assignments.filter(({ why }) => why !== 'check');
    const undone = { done: false, addedFrom: undefined, isChecked: false, isDecided: false };
    updateShard(run.current, shard, { ...undone, assignments, held: [] });
  }
}

/** Drops the held results of a worker, which are known to be wrong through no fault of its own. */
export function dropHeld(run: RunState, { connection: id }: Connection): void {
  for (const shard of [...run.current.shards.values()]) {
    const held = shard.held.filter(({ connection }) => connection !== id);
    if (held.length < shard.held.length) updateShard(run.current, shard, { held });
  }
}

function divergence(run: RunState, shard: ShardState): string {
  const { plan } = run.setup;
  const { step } = run.current;
  const batch = stepBatch(plan, step);
  const first = batch.first + shard.lo * plan.microbatchSize;
  const isOwn = shard.nonFiniteFrom.every((id) => run.connections.get(id)?.isOwn);
  const agreed = isOwn ? '' : ', and the coordinator finds the same';
  return `step ${step + 1}: the gradient of samples ${first} to ${first + shard.samples - 1} of epoch ${batch.epoch + 1} is not finite${agreed}: training has diverged; try a smaller learning rate`;
}

export function takeTaskError(run: RunState, connection: Connection, error: TaskErrorMessage): void {
  // This error was sent before the worker learned of the check: losing a device counts once, not once for each shard.
  if (connection.phase === 'checking') return;
  countFault(run, 'rejected');
  emit(run, { type: 'rejected', workerId: connection.workerId, message: error.message });
  if (isTrial(connection, error)) updateConnection(run, connection.connection, { trial: undefined });
  if (error.code === 'non-finite') reportNonFinite(run, connection, error);
  if (hasEnded(run)) return;
  const { connection: id } = connection;
  const taskErrors = connection.taskErrors + 1;
  if (taskErrors >= run.setup.limits.maxTaskErrors) {
    const message = toMessageText(`this worker failed ${taskErrors} times in a row; the last time: ${error.message}`);
    send(run, id, { type: 'refuse', code: 'busy', message });
    disconnect(run, connection, message, 1008);
    return;
  }
  updateConnection(run, id, { taskErrors, answerByMs: undefined });
  if (error.code !== 'non-finite') checkAgain(run, connection);
}

/** Checks the numerics of a failed worker before its next task, since it may have switched to another device. */
function checkAgain(run: RunState, connection: Connection): void {
  unassignAll(run, connection);
  addReadyTime(run, connection);
  const { connection: id } = connection;
  updateConnection(run, id, {
    phase: 'checking',
    phaseAtMs: run.nowMs,
    transferCreditMs: 0,
    weightsStep: -1,
    trial: undefined,
  });
  run.commands.push({ type: 'sendNumericsCheck', connection: id });
}

/** Has the coordinator check a shard that one of its owners reports as non-finite; other reports are ignored. */
function reportNonFinite(run: RunState, { connection: id }: Connection, error: TaskErrorMessage): void {
  if (error.step !== run.current.step) return;
  const shard = run.current.shards.get(shardKey(error));
  if (!shard || !owesShard(shard, id)) return;
  const nonFiniteFrom = [...shard.nonFiniteFrom, id];
  const assignments = shard.assignments.filter(({ connection }) => connection !== id);
  updateShard(run.current, shard, { nonFiniteFrom, assignments });
  referee(run, shard);
}
