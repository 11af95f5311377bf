/** What a viewer that has shown the admin token may do to a run. */

import { writeOutput } from '@lockstep/files';
import {
  type AdminAction,
  bytesOf,
  type FaultAction,
  type WatchMessageFrom,
  type WatchMessageOf,
} from '@lockstep/protocol';
import type { CoordinatorState, ParameterServer, Run, WorkerCommand } from '@lockstep/training';
import { errorMessage } from '../error-message.ts';
import { formatOf, modelFileOf } from '../model/model-file.ts';
import { sha256 } from '../node/sha256.ts';
import type { Prepared } from '../prepared.ts';
import type { Recorder } from '../record/recorder.ts';
import type { OnRunAgain } from '../run/run-again.ts';
import type { OwnerMessage } from './admin-permission.ts';

export interface AdminActionsOptions {
  readonly run: Run;
  readonly recorder: Recorder;
  readonly parameterServer: ParameterServer;
  readonly prepared: Prepared;
  /** Where `save` writes; by default a file in the working directory, named after the model and the step. */
  readonly saveTo: string | undefined;
  /** Begins another run in this one's place; resolves with the reason where it cannot. */
  readonly onRunAgain: OnRunAgain | undefined;
}

export type ActionResult =
  /** A line for all viewers, and one for owners, which names what is on this machine and answers the request. */
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

  /** Writes the model as it is now; the event says where. */
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
      await writeOutput(file, modelFileOf({ prepared, weights, weightsSha256, steps }, formatOf(file)));
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
