/** Who may watch a run, who may control it, and what an owner may do. */

import type { ParameterServer } from '@lockstep/compute';
import { writeOutput } from '@lockstep/data/files';
import {
  type AdminAction,
  bytesOf,
  type FaultAction,
  sameSecret,
  type WatchMessageFrom,
  type WatchMessageOf,
} from '@lockstep/protocol';
import type { CoordinatorState, WorkerCommand } from '@lockstep/rules';
import type { Run } from '../coordinator/run.ts';
import { modelFileOf, modelFormatOf } from '../model/model-file.ts';
import { sha256 } from '../node/sha256.ts';
import type { Prepared } from '../prepared.ts';
import type { Recorder } from '../record/recorder.ts';
import { busyMessage, type Guesses } from '../site/limiter.ts';
import { errorMessage } from '../words.ts';
import type { Viewer, Welcome } from './viewers.ts';

/** Options that the owner may change for the next run on a server; omitted options stay the same. */
export interface RunChanges {
  readonly seed?: number;
  readonly learningRate?: number;
  readonly optimizer?: string;
  readonly model?: string;
  readonly batch?: number;
  readonly epochs?: number;
  readonly schedule?: string;
}

/** Starts another run; resolves with the reason if there can be none, in which case nothing has changed. */
export type OnRunAgain = (changes: RunChanges) => Promise<string | undefined>;

export interface AdminActionsOptions {
  readonly run: Run;
  readonly recorder: Recorder;
  readonly parameterServer: ParameterServer;
  readonly prepared: Prepared;
  /** File that `save` writes; by default in the working directory, named after the model and the step. */
  readonly saveTo: string | undefined;
  /** Starts another run in place of this one; resolves with the reason if that is impossible. */
  readonly onRunAgain: OnRunAgain | undefined;
}

export type ActionResult =
  /** A line for all viewers, and one for owners, which may name things on this machine and answers the request. */
  | { readonly type: 'done'; readonly event?: Readonly<Record<'line' | 'ownerLine', string>> }
  | { readonly type: 'refused'; readonly message: string };

/** Short enough that the heartbeat does not take a frozen worker for dead. */
const faultDurationMs: Readonly<Record<FaultAction, number>> = { kill: 0, freeze: 8_000, slow: 10_000 };

const done: ActionResult = { type: 'done' };

type WorkerRequest = Extract<WatchMessageFrom<'viewer'>, { workerId: string }>;

function commandOf(message: WorkerRequest): WorkerCommand {
  const { workerId } = message;
  switch (message.type) {
    case 'injectFault':
      return { type: 'injectFault', workerId, action: message.action, forMs: faultDurationMs[message.action] };
    case 'renameWorker':
      return { type: 'rename', workerId, name: message.name };
    case 'removeWorker':
      return { type: 'remove', workerId };
    default:
      return message satisfies never;
  }
}

export class AdminActions {
  readonly #options: AdminActionsOptions;
  #isSaving = false;

  constructor(options: AdminActionsOptions) {
    this.#options = options;
  }

  async meet(request: OwnerMessage): Promise<ActionResult> {
    switch (request.type) {
      case 'admin':
        return this.#control(request.action);
      case 'injectFault':
      case 'renameWorker':
      case 'removeWorker':
        return this.#manageWorker(request);
      case 'runAgain':
        return this.#runAgain(request);
      case 'readData':
        return refused('the run has its data');
      default:
        return request satisfies never;
    }
  }

  async #control(action: AdminAction): Promise<ActionResult> {
    const { run, recorder } = this.#options;
    if (action === 'save') return this.#save();
    if (hasEnded(run.state)) return refused('the run has ended');
    if (action === 'stop') recorder.stop('owner');
    else run.control(action);
    return done;
  }

  async #runAgain({ type: _type, token: _token, ...changes }: WatchMessageOf<'runAgain'>): Promise<ActionResult> {
    const { run, onRunAgain } = this.#options;
    if (!onRunAgain) return refused('the server does not stay after this run: it was not asked to');
    if (!hasEnded(run.state)) return refused('the run has not ended');
    const fault = await onRunAgain(changes);
    return fault === undefined ? done : refused(fault);
  }

  #manageWorker(message: WorkerRequest): ActionResult {
    const { run } = this.#options;
    const { workerId } = message;
    if (message.type === 'injectFault' && run.state.setup.faultInjection !== true)
      return refused('this run was not started with fault injection');
    if (hasEnded(run.state)) return refused('the run has ended');
    const isConnected = [...run.state.connections.values()].some((connection) => connection.workerId === workerId);
    if (!isConnected) return refused(`there is no worker ${workerId} here`);
    if (message.type === 'injectFault' && run.state.records.get(workerId)?.kind === 'local')
      return refused(`${workerId} is the coordinator itself, which would fail for all`);
    run.manageWorker(commandOf(message));
    return done;
  }

  /** Writes the current model; the event names the file. */
  async #save(): Promise<ActionResult> {
    if (this.#isSaving) return refused('the model is being saved already');
    this.#isSaving = true;
    try {
      const { run, parameterServer, prepared, saveTo } = this.#options;
      const { model } = prepared;
      const steps = run.state.current.step;
      const file = saveTo ?? `${model.name.replace(/[^a-z0-9-]+/gi, '-')}-step-${steps}.safetensors`;
      const weights = parameterServer.weights();
      const weightsSha256 = sha256(bytesOf(weights));
      const line = `model after step ${steps} saved`;
      const where = saveTo === undefined ? `${file}, in the folder ${process.cwd()}` : file;
      await writeOutput(file, modelFileOf({ prepared, weights, weightsSha256, steps }, modelFormatOf(file)));
      return { type: 'done', event: { line, ownerLine: `${line} to ${where}` } };
    } catch (error) {
      return refused(errorMessage(error));
    } finally {
      this.#isSaving = false;
    }
  }
}

function refused(message: string): ActionResult {
  return { type: 'refused', message };
}

function hasEnded({ phase }: CoordinatorState): boolean {
  return phase === 'finished' || phase === 'failed';
}

export interface WatchPermissionOptions {
  /** Token for joining, and for watching unless everybody may watch; the admin token allows both. */
  readonly token: string | undefined;
  /** Accepted in place of the token. */
  readonly code: string | undefined;
  readonly publicView: boolean;
  /** Generated, never chosen: too long to guess. */
  readonly adminToken: string;
  readonly guesses: Guesses;
  readonly onBadToken: () => void;
}

/** Undefined if the token is right, otherwise a message with advice. */
type TokenFault = string | undefined;

const wrongToken =
  'this is not the token of this run: type its code again, or open the whole address that the coordinator printed';
const missingToken =
  'watching this run needs its token: open the whole address that the coordinator printed, with its token';
const wrongAdminToken =
  'this is not the admin token of this run: open the dashboard address that the coordinator printed';
const missingAdminToken =
  'controlling a run needs the admin token: open the dashboard address that the coordinator printed';

export class WatchPermission {
  readonly #options: WatchPermissionOptions;

  constructor(options: WatchPermissionOptions) {
    this.#options = options;
  }

  /** Answers a viewer's `hello`: before this returns, unless guesses of its client are waiting. */
  welcome({ token, adminToken }: WatchMessageOf<'hello'>, client: string, onWelcome: (welcome: Welcome) => void): void {
    const fault = adminToken === undefined ? undefined : this.adminFault(adminToken);
    if (adminToken !== undefined && fault === undefined) {
      onWelcome({ role: 'owner', mayInvite: true });
      return;
    }
    const { code } = this.#options;
    this.#check(token, code === undefined ? [] : [code], client, (refusal) => {
      // A viewer that knows how to join may see the code.
      const mayInvite = token !== undefined && refusal === undefined;
      if (refusal !== undefined && !this.#isOpen) onWelcome({ refusal });
      else onWelcome({ role: 'guest', mayInvite, ...(fault !== undefined && { fault }) });
    });
  }

  /** Code that guests may type instead of the token. */
  get code(): string | undefined {
    return this.#options.code;
  }

  /** Whether a token permits reading the metrics; the code does not. */
  metricsFault(token: string | undefined, client: string): Promise<TokenFault> {
    if (this.#isOpen) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#check(token, [], client, resolve));
  }

  /** Whether a token permits controlling the run. */
  adminFault(token: string | undefined): TokenFault {
    const { adminToken, onBadToken } = this.#options;
    if (token !== undefined && sameSecret(adminToken, token)) return undefined;
    onBadToken();
    return token === undefined ? missingAdminToken : wrongAdminToken;
  }

  get #isOpen(): boolean {
    return this.#options.token === undefined || this.#options.publicView;
  }

  /** @param more further secrets accepted in place of the tokens */
  #check(
    shown: string | undefined,
    more: readonly string[],
    client: string,
    onFault: (fault: TokenFault) => void,
  ): void {
    const { token, adminToken, guesses, onBadToken } = this.#options;
    const count = (fault: string): void => {
      if (!this.#isOpen) onBadToken();
      onFault(fault);
    };
    if (shown === undefined) {
      count(missingToken);
      return;
    }
    const expected = [...(token === undefined ? [] : [token]), adminToken, ...more];
    guesses.check(client, expected, shown, (result) => {
      if (result === 'right') onFault(undefined);
      else count(result === 'wrong' ? wrongToken : busyMessage);
    });
  }
}

/** A request from an owner. */
export type OwnerMessage = Exclude<WatchMessageFrom<'viewer'>, { type: 'hello' | 'wantWeights' | 'unlock' }>;

const maxBadTokens = 5;

/** Returns the request if it is allowed; undefined if there is none or it is not. */
export function ownerMessage(
  message: WatchMessageFrom<'viewer'>,
  viewer: Viewer,
  permission: WatchPermission,
): OwnerMessage | undefined {
  if (message.type === 'hello' || message.type === 'wantWeights') return undefined;
  const fault = permission.adminFault(message.token);
  if (fault !== undefined) {
    viewer.send(
      message.type === 'unlock' ? { type: 'role', role: 'guest', fault } : { type: 'refused', message: fault },
    );
    viewer.badTokens += 1;
    if (viewer.badTokens >= maxBadTokens) viewer.close(1008, 'the admin token was wrong too often');
    return undefined;
  }
  viewer.role = 'owner';
  if (message.type !== 'unlock') return message;
  viewer.send({ type: 'role', role: 'owner' });
  return undefined;
}
