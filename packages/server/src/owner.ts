/** The actions of a run's owner, from its dashboard. */

import type { ParameterServer } from '@lockstep/compute';
import type { Run } from '@lockstep/coordinator';
import { writeOutput } from '@lockstep/data/files';
import { errorMessage } from '@lockstep/data/shown';
import { modelFileOf, modelFormatOf, type Prepared } from '@lockstep/prepare';
import {
  type AdminAction,
  bytesOf,
  type FaultAction,
  type RunChanges,
  type WatchMessageFrom,
  type WatchMessageOf,
} from '@lockstep/protocol';
import type { Recorder } from '@lockstep/record';
import { sha256 } from '@lockstep/record/node';
import { hasEnded, type WorkerCommand } from '@lockstep/rules';
import { type OwnerRequest, type Reply, refused } from './viewers.ts';

/** Starts another run; resolves with the reason if there can be none, in which case nothing has changed. */
export type OnRunAgain = (changes: RunChanges) => Promise<string | undefined>;

export interface OwnerActionsOptions {
  readonly run: Run;
  readonly recorder: Recorder;
  readonly parameterServer: ParameterServer;
  readonly prepared: Prepared;
  /** Starts another run in place of this one; resolves with the reason if that is impossible. */
  readonly onRunAgain: OnRunAgain | undefined;
}

/** Short enough that the heartbeat does not take a frozen worker for dead. */
const faultDurationMs: Readonly<Record<FaultAction, number>> = { kill: 0, freeze: 8_000, slow: 10_000 };

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

export class OwnerActions {
  readonly #options: OwnerActionsOptions;
  #isSaving = false;

  constructor(options: OwnerActionsOptions) {
    this.#options = options;
  }

  async reply(request: OwnerRequest): Promise<Reply> {
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
        return refused('the run already has its data');
      default:
        return request satisfies never;
    }
  }

  async #control(action: AdminAction): Promise<Reply> {
    const { run, recorder } = this.#options;
    if (action === 'save') return this.#save();
    if (hasEnded(run.state)) return refused('the run has ended');
    if (action === 'stop') recorder.stop('owner');
    else run.control(action);
    return undefined;
  }

  async #runAgain({ type: _type, token: _token, ...changes }: WatchMessageOf<'runAgain'>): Promise<Reply> {
    const { run, onRunAgain } = this.#options;
    if (!onRunAgain) return refused('the server stops after this run; start it with --stay to run again');
    if (!hasEnded(run.state)) return refused('the run has not ended yet');
    const fault = await onRunAgain(changes);
    return fault === undefined ? undefined : refused(fault);
  }

  #manageWorker(message: WorkerRequest): Reply {
    const { run } = this.#options;
    const { workerId } = message;
    if (message.type === 'injectFault' && run.state.setup.faultInjection !== true)
      return refused('this run was started without --chaos');
    if (hasEnded(run.state)) return refused('the run has ended');
    const isConnected = [...run.state.connections.values()].some((connection) => connection.workerId === workerId);
    if (!isConnected) return refused(`there is no connected worker ${workerId}`);
    if (message.type === 'injectFault' && run.state.records.get(workerId)?.kind === 'local')
      return refused(`${workerId} is the coordinator itself`);
    run.manageWorker(commandOf(message));
    return undefined;
  }

  /** Writes the current model. Owners learn the file, which is on this machine; guests only that it was saved. */
  async #save(): Promise<Reply> {
    if (this.#isSaving) return refused('the model is already being saved');
    this.#isSaving = true;
    try {
      const { run, recorder, parameterServer, prepared } = this.#options;
      const { model, listen } = prepared;
      const { saveTo } = listen ?? {};
      const { final } = recorder.data;
      const steps = final?.step ?? run.state.current.step;
      const file = saveTo ?? `${model.name.replace(/[^a-z0-9-]+/gi, '-')}-step-${steps}.safetensors`;
      const weights = final?.weights ?? parameterServer.weights();
      const weightsSha256 = sha256(bytesOf(weights));
      const line = `model after step ${steps} saved`;
      const where = saveTo === undefined ? `${file}, in the folder ${process.cwd()}` : file;
      await writeOutput(file, modelFileOf({ prepared, weights, weightsSha256, steps }, modelFormatOf(file)));
      const message = `${line} to ${where}`;
      recorder.note(line, message);
      return { type: 'done', message };
    } catch (error) {
      return refused(errorMessage(error));
    } finally {
      this.#isSaving = false;
    }
  }
}
