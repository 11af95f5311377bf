import { checkDeadlines, noteDelivery } from './deadlines.ts';
import type { CheckedMessage, Command, ControlAction, CoordinatorEvent } from './events.ts';
import {
  activate,
  closeLateArrival,
  closureOf,
  disconnect,
  endRun,
  finishRun,
  handshake,
  injectFault,
  protocolViolation,
  refuse,
  reject,
  remove,
  rename,
  unassignAll,
} from './joining.ts';
import { advanceRun, forgetForwarded, forwardWeights, takeAsked, withdrawAsked } from './progress.ts';
import { goBack, recall, recallWorker, takeWentBack } from './rewind.ts';
import { type RunHistory, runAfter } from './run-account.ts';
import {
  countFault,
  emit,
  hasEnded,
  isAnyReady,
  type RunState,
  send,
  updateConnection,
  updateRecord,
} from './run-state.ts';
import { dropHeld, restartStep, takeGradient, takeRefereed, takeTaskError } from './settlement.ts';
import type { RunSetup } from './setup.ts';
import type { Connection, CoordinatorState } from './state.ts';
import { recordWithdrawal } from './track-record.ts';

/**
 * The rules of a run: a deterministic state machine without a clock, socket, file or random number of its own.
 *
 * Every event, whether a closed socket or a result, ends in `advanceRun`, which assigns unassigned shards, takes
 * complete steps, and pauses or resumes. No rule waits for an event that may never come.
 */
export class Rules {
  readonly #run: RunState;

  /** @param firstStep 0, or the step of a checkpoint with the `history` of the steps before */
  constructor(setup: RunSetup, firstStep?: number, history?: RunHistory) {
    this.#run = runAfter(setup, firstStep, history);
  }

  /** State of the run. The next event mutates it in place. */
  get view(): CoordinatorState {
    return this.#run;
  }

  /** Handles an event; returns the commands to carry out, in order. */
  handle(event: CoordinatorEvent): readonly Command[] {
    const run = this.#run;
    run.handled += 1;
    run.nowMs = event.atMs;
    run.commands = [];
    apply(run, event);
    advanceRun(run);
    return run.commands;
  }
}

function apply(run: RunState, event: CoordinatorEvent): void {
  switch (event.type) {
    case 'opened':
      open(run, event);
      return;
    case 'message':
    case 'invalid':
    case 'numericsMismatch':
    case 'closed':
      applyToConnection(run, event);
      return;
    case 'tick':
      checkDeadlines(run, event.receivedBytes);
      return;
    case 'control':
      control(run, event.action);
      return;
    case 'asked':
      takeAsked(run, event);
      return;
    case 'weightsArriving':
      forwardWeights(run, event.step);
      return;
    case 'weightsBroken':
      forgetForwarded(run, event.step);
      return;
    case 'askedNoMore':
      withdrawAsked(run);
      return;
    case 'recalled':
      withdrawAsked(run);
      recall(run, event.step);
      return;
    case 'refereed':
      takeRefereed(run, event);
      return;
    case 'injectFault':
      injectFault(run, event);
      return;
    case 'rename':
      rename(run, event);
      return;
    case 'remove':
      remove(run, event);
      return;
    case 'stop':
      endRun(run, event.message, { anotherMayFollow: event.anotherMayFollow });
      return;
    case 'allow':
      run.allowedSteps = event.steps;
      return;
    case 'finish':
      if (!hasEnded(run)) finishRun(run);
      return;
    default:
      event satisfies never;
  }
}

type ConnectionEvent = Extract<CoordinatorEvent, { type: 'message' | 'invalid' | 'numericsMismatch' | 'closed' }>;

function applyToConnection(run: RunState, event: ConnectionEvent): void {
  const connection = run.connections.get(event.connection);
  // Events of a connection that the rules have closed no longer matter.
  if (!connection) return;
  switch (event.type) {
    case 'message':
      updateConnection(run, event.connection, { lastReceivedAtMs: event.atMs });
      handleMessage(run, connection, event.message);
      return;
    case 'invalid':
      reject(run, connection, event.message, event.closeCode);
      return;
    case 'numericsMismatch':
      countFault(run, 'rejected');
      send(run, event.connection, { type: 'refuse', code: 'numerics', message: event.message });
      emit(run, { type: 'rejected', workerId: connection.workerId, message: event.message });
      disconnect(run, connection, event.message, 1008);
      return;
    case 'closed':
      disconnect(run, connection, 'its connection closed', undefined);
      return;
    default:
      event satisfies never;
  }
}

function open(
  run: RunState,
  { connection: id, resumeKey, address = '', isOwn = false }: Extract<CoordinatorEvent, { type: 'opened' }>,
): void {
  if (hasEnded(run)) {
    closeLateArrival(run, id);
    return;
  }
  run.firstOpenedAtMs ??= run.nowMs;
  run.connections.set(id, {
    connection: id,
    address,
    phase: 'handshake',
    isOwn,
    confirmed: 0,
    checked: 0,
    isProven: isOwn,
    isDoubted: false,
    resumeKey,
    phaseAtMs: run.nowMs,
    lastReceivedAtMs: run.nowMs,
    receivedBytes: 0,
    delivered: { bytes: 0, atMs: run.nowMs },
    transferCreditMs: 0,
    link: { networkMs: 0, results: 0, slowResults: 0, slownessReported: false },
    pingedAtMs: run.nowMs,
    readyAtMs: run.nowMs,
    hasBeenReady: false,
    samplesPerMs: 0,
    overheadMs: 0,
    nextTrialAtMs: 0,
    newestResult: -1,
    weightsStep: -1,
    cachesSamples: false,
    hidden: false,
    taskErrors: 0,
  });
}

function handleMessage(run: RunState, connection: Connection, message: CheckedMessage): void {
  const { connection: id, phase, claim, recalled } = connection;
  if (phase === 'handshake' && !claim && message.type !== 'hello' && message.type !== 'bye') {
    protocolViolation(run, connection, `${message.type} before hello`);
    return;
  }
  switch (message.type) {
    case 'hello':
      if (phase === 'handshake' && !claim) handshake(run, connection, message);
      else protocolViolation(run, connection, 'a second hello');
      return;
    case 'numericsResult':
      if (phase === 'checking') activate(run, connection, message);
      else protocolViolation(run, connection, 'a numerics result that was not asked for');
      return;
    case 'gradient':
      if (recalled) return;
      if (phase === 'ready') takeGradient(run, connection, message);
      // After a task error the worker is checked again; a gradient that it sent before that is late, not a violation.
      else if (connection.taskErrors === 0) {
        protocolViolation(run, connection, 'a gradient before the numerics check');
      }
      return;
    case 'taskError':
      if (phase === 'handshake') protocolViolation(run, connection, 'a task error before the welcome');
      else if (!recalled) takeTaskError(run, connection, message);
      return;
    case 'status':
      takeStatus(run, connection, message);
      return;
    case 'ping':
      noteDelivery(run, connection, message.receivedBytes ?? 0);
      send(run, id, { type: 'pong', sentAtMs: message.sentAtMs });
      return;
    case 'pong':
      return;
    case 'wentBack':
      if (recalled) takeWentBack(run, connection);
      else if (phase === 'handshake') protocolViolation(run, connection, 'a return before the welcome');
      return;
    case 'bye':
      disconnect(run, connection, message.message, 1000);
      return;
    default:
      message satisfies never;
  }
}

/** Records a worker's status, and a relay's report about the workers behind it. */
function takeStatus(
  run: RunState,
  worker: Connection,
  { hidden, workers, address, wrongFrom }: Extract<CheckedMessage, { type: 'status' }>,
): void {
  const { connection, phase, workerId = '', recalled } = worker;
  updateConnection(run, connection, { hidden });
  const record = run.records.get(workerId);
  if (record?.kind !== 'relay') return;
  // A relay's numerics check begins once it has a worker.
  if (phase === 'checking' && record.workersBehind === 0) updateConnection(run, connection, { phaseAtMs: run.nowMs });
  if (workers !== undefined) updateRecord(run, workerId, { workersBehind: workers });
  if (address !== undefined) updateRecord(run, workerId, { address });
  if (wrongFrom !== undefined && !recalled) takeWrongSums(run, worker, wrongFrom);
  emit(run, { type: 'relayStatus', workerId });
}

/** Drops the sums of a relay from this step on, because they contain results of a worker that the relay has caught. */
function takeWrongSums(run: RunState, worker: Connection, wrongFrom: number): void {
  if (hasEnded(run)) return;
  const { workerId = '' } = worker;
  const { setup, current, records } = run;
  const { uncheckedFrom } = records.get(workerId)!;
  if (setup.isRelay) updateRecord(run, workerId, { wrongFrom });
  // A relay can take back no more than its own sums.
  const isCounted = !setup.isRelay && uncheckedFrom !== undefined && wrongFrom < current.step;
  if (!isCounted || !goBack(run, [Math.max(uncheckedFrom, wrongFrom)], workerId)) {
    restartStep(run, workerId);
    dropHeld(run, worker);
    unassignAll(run, worker);
    recallWorker(run, worker, wrongFrom);
  }
  recordWithdrawal(run, worker);
  const refusal = closureOf(run, worker);
  if (refusal) refuse(run, worker, refusal);
}

function control(run: RunState, action: ControlAction): void {
  if (hasEnded(run)) return;
  switch (action) {
    case 'start':
      run.startRequested = true;
      resume(run);
      return;
    case 'pause':
      if (run.pauseRequested) return;
      run.pauseRequested = true;
      emit(run, { type: 'pauseRequested' });
      return;
    case 'resume':
      resume(run);
      return;
    default:
      action satisfies never;
  }
}

function resume(run: RunState): void {
  if (!run.pauseRequested) return;
  run.pauseRequested = false;
  // If a worker is ready, `advanceRun` reports that the run has resumed.
  if (run.phase === 'paused' && !isAnyReady(run)) emit(run, { type: 'paused' });
}
