/** Events of a run, for the program that started it and for viewers; events of the rules become such events. */
import { thousands } from '@lockstep/data/shown';
import type { Model } from '@lockstep/nn';
import type { FaultAction } from '@lockstep/protocol';
import type { CoordinatorState, RunEvent, WorkerRecord } from '@lockstep/rules';
import type { EpochReport, Report, RunConfig, TextSample } from './report.ts';

/** `message` is one line for people. */
export type TrainingEvent =
  | PreparedEvent
  | ListeningEvent
  /** From now on, the first step can be computed. */
  | { readonly type: 'started' }
  | StepEvent
  | EpochEvent
  | SampleEvent
  | MemberEvent
  | RelaysEvent
  | CheckpointEvent
  | PauseEvent
  /** A message that people want to see, such as the backend in use. */
  | { readonly type: 'note'; readonly message: string }
  /** A failure that the run survives, such as a checkpoint that could not be written. */
  | { readonly type: 'warning'; readonly message: string }
  | EndEvent;

/** Everything that is recorded of a run: events for the program, and those that only viewers see. */
export type RecordedEvent =
  | TrainingEvent
  /** A line for viewers; `ownerLine` may name things on this machine. */
  | { readonly type: 'line'; readonly line: string; readonly ownerLine: string }
  /** Follows an epoch's event, with the evaluated weights. */
  | { readonly type: 'evaluated'; readonly report: EpochReport; readonly weights: Float32Array }
  /** The final report and weights; `weights` is a copy. */
  | { readonly type: 'report'; readonly report: Report; readonly weights: Float32Array };

/** Who ended a run on purpose: its owner, its program, or the start of a run for which it had gathered workers. */
export type StopCode = 'owner' | 'program' | 'planned';

/** Why a run ended before its last step: on purpose, which is no failure, or because it could not go on. */
export type RunEnding = { readonly message: string } & (
  | { readonly type: 'stopped'; readonly code: StopCode }
  | { readonly type: 'failed'; readonly hasDiverged: boolean }
);

/** The options have been checked and the data loaded. */
export interface PreparedEvent {
  readonly type: 'prepared';
  readonly model: Model;
  readonly parameters: number;
  readonly config: RunConfig;
  readonly stepsPerEpoch: number;
  readonly message: string;
}

/** Addresses to join, watch and control a run. */
export interface Addresses {
  /** For terminals, without the token, which a worker reads from its environment. */
  readonly worker: string;
  /** For tabs; secrets are in the fragment, which browsers do not send. */
  readonly page: string;
  /** Like `page`, with the admin token: for the person who controls the run. */
  readonly owner: string;
  /** For this machine's own workers; no secrets. */
  readonly local: string;
  /** Addresses to join at, without secrets. */
  readonly open: readonly string[];
}

/** From now on, workers can join and viewers watch. */
export interface ListeningEvent {
  readonly type: 'listening';
  readonly addresses: Addresses;
  readonly host: string;
  readonly port: number;
  /** The requested port, which may have been in use; 0 for any. */
  readonly wantedPort: number;
  /** Token for joining, and for watching unless everybody may watch. */
  readonly token: string | undefined;
  /** SHA-256 of a certificate made for this run, in hex without colons. */
  readonly fingerprint: string | undefined;
}

/** The relays that workers can join, or their numbers of workers, have changed. */
export interface RelaysEvent {
  readonly type: 'relays';
  readonly relays: readonly RelayPlace[];
}

/** A relay of the run, which workers that know the run's token can join. */
export interface RelayPlace {
  /** Address without secrets. */
  readonly address: string;
  /** Number of workers that compute for the relay. */
  readonly workers: number;
}

/** A step was taken. If a reader falls behind, only the newest of the unread steps is delivered. */
export interface StepEvent {
  readonly type: 'step';
  /** Steps taken so far. */
  readonly step: number;
  /** Counted from 1. */
  readonly epoch: number;
  /** Mean over the step's samples, with the weights before the step. */
  readonly loss: number;
  /** Fraction of the step's samples that were classified correctly, 0 to 1; null if targets are values. */
  readonly accuracy: number | null;
  /** Exponential moving averages over this process's steps, in which each new step has a weight of a twentieth. */
  readonly smoothedLoss: number;
  readonly smoothedAccuracy: number | null;
  /** Samples of this step, and of all steps since this process took over the run. */
  readonly samples: number;
  readonly samplesSoFar: number;
  /** Number of ready workers. */
  readonly workers: number;
}

/** An evaluated epoch, for `onEpoch`. */
export interface EvaluatedEpoch {
  /** Counted from 1. */
  readonly epoch: number;
  /** Steps that the weights have taken. */
  readonly step: number;
  /** A copy of the weights at the end of the epoch, [parameters] in model order. */
  readonly weights: Float32Array<ArrayBuffer>;
  /** Loss and quality on training, test and validation samples. */
  readonly metrics: EpochReport;
}

/** Called after the evaluation of each epoch, in order; the run's result waits for it. */
export type OnEpoch = (epoch: EvaluatedEpoch) => void | Promise<void>;

/** The model has written a text, possibly some steps later. */
export interface SampleEvent extends TextSample {
  readonly type: 'sample';
  /** The beginning of the text, which the model has continued. */
  readonly prompt: string;
}

/** An epoch was evaluated, possibly some steps after its last one. */
export interface EpochEvent extends EpochReport {
  readonly type: 'epoch';
}

interface Worker {
  readonly id: string;
  readonly name: string;
}

type MemberEvent = { readonly message: string } & (
  | {
      readonly type: 'joined';
      readonly worker: Worker & { readonly kind: string; readonly backend: string; readonly threads: number };
      /** Whether the worker had been in the run before. */
      readonly returned: boolean;
    }
  | { readonly type: 'left'; readonly worker: Worker }
  /** The owner renamed the worker. */
  | { readonly type: 'renamed'; readonly worker: Worker; readonly before: string }
  /** A result failed a check, so its shard is computed again. */
  | { readonly type: 'rejected'; readonly worker: Worker | undefined }
  /** Sent at most once in 30 seconds for each worker. */
  | { readonly type: 'late'; readonly worker: Worker; readonly step: number }
  /** The worker spends most of its time on its link. */
  | { readonly type: 'slowLink'; readonly worker: Worker }
  /** The worker's result was wrong. `shards` of its results had been added before. */
  | { readonly type: 'quarantined'; readonly worker: Worker; readonly shards: number }
  /** Results of the worker were wrong: the run had taken `from` steps, and goes on from the state after `to` of them. */
  | { readonly type: 'wentBack'; readonly worker: Worker; readonly from: number; readonly to: number }
  | { readonly type: 'injectFault'; readonly worker: Worker; readonly action: FaultAction }
);

/** A checkpoint has been written to disk. */
interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** File name in the run's folder of checkpoints. */
  readonly file: string;
  /** Number of steps taken by the checkpoint. */
  readonly step: number;
}

type PauseEvent = {
  /**
   * `paused`: no worker is left; `resumed`: the run goes on; `pauseRequested`: the owner requested a pause after this
   * step.
   */
  readonly type: 'paused' | 'resumed' | 'pauseRequested';
  readonly message: string;
};

/** The last event of a run that did not fail. */
interface EndEvent {
  /** `finished` if every step was taken; `stopped` if the run ended earlier. */
  readonly type: 'finished' | 'stopped';
  readonly report: Report;
}

/** Interval of lines about a worker that stays late, each of which says how many times it was late. */
const lateEveryMs = 30_000;

/** Makes one event for each event of the rules, except that a worker that stays late does not get one for each step. */
export class EventLines {
  readonly #nowMs: () => number;
  /** By worker: when its last line was written, and how many have been omitted since. */
  readonly #lateLines = new Map<string, { readonly writtenAtMs: number; omitted: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Undefined for events without a line. */
  eventOf(event: RunEvent, { records }: CoordinatorState): MemberEvent | PauseEvent | undefined {
    const told = toldEvent(event, records);
    if (event.type !== 'late' || told === undefined) return told;
    const nowMs = this.#nowMs();
    const last = this.#lateLines.get(event.workerId);
    if (last && nowMs - last.writtenAtMs < lateEveryMs) {
      last.omitted += 1;
      return undefined;
    }
    this.#lateLines.set(event.workerId, { writtenAtMs: nowMs, omitted: 0 });
    if (!last || last.omitted === 0) return told;
    const times = last.omitted === 1 ? 'once' : `${last.omitted} times`;
    const seconds = Math.round((nowMs - last.writtenAtMs) / 1000);
    return { ...told, message: `${told.message} (and ${times} more in the last ${seconds} s)` };
  }
}

function toldEvent(event: RunEvent, records: ReadonlyMap<string, WorkerRecord>): MemberEvent | PauseEvent | undefined {
  if (event.type === 'started' || event.type === 'relayStatus') return undefined;
  if (event.type === 'paused' || event.type === 'resumed' || event.type === 'pauseRequested') {
    return { type: event.type, message: pauseLines[event.type] };
  }
  const { workerId = '' } = event;
  const record = records.get(workerId);
  const worker = { id: workerId, name: record?.name ?? 'an unknown client' };
  const who = record ? `${record.id} ${record.name}` : 'an unknown client';
  switch (event.type) {
    case 'joined': {
      if (!record) return undefined;
      const { returned } = event;
      const { kind, backend, threads, vectorBits } = record;
      const computing = `${threads === 1 ? '' : `, ${threads} threads`}${vectorBits === 256 ? ', 256-bit vectors' : ''}`;
      const message = `${who} ${returned ? 'rejoined' : 'joined'} (${kind}, ${backend}${computing})`;
      return { type: 'joined', message, worker: { ...worker, kind, backend, threads }, returned };
    }
    case 'left':
      return { type: 'left', message: `${who} left: ${event.message}`, worker };
    case 'rejected': {
      const what = record ? 'rejected a result from' : 'closed the connection of';
      const message = `${what} ${who}: ${event.message}`;
      return { type: 'rejected', message, worker: workerId === '' ? undefined : worker };
    }
    case 'late': {
      const step = event.step + 1;
      const message = `${who} is late with step ${step}: another worker computes its shard as well`;
      return { type: 'late', message, worker, step };
    }
    case 'slowLink': {
      const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 1_000 ? 2 : 1)} s`;
      const spent = `${seconds(event.networkMs)} per step on its link, ${seconds(event.computeMs)} on computing`;
      const message = `${who} spends ${spent}: a larger batch or --gradients fp16-exact would help`;
      return { type: 'slowLink', message, worker };
    }
    case 'quarantined': {
      const { shards } = event;
      const before = shards === 0 ? 'none of its results had been added' : `${shards} of its results had been added`;
      return { type: 'quarantined', message: `${who} is quarantined: ${event.message}; ${before}`, worker, shards };
    }
    case 'wentBack': {
      const { from, to } = event;
      const steps = from - to === 1 ? '1 step' : `${thousands(from - to)} steps`;
      const message = `went back ${steps}, to step ${thousands(to)}: results of ${who} were wrong`;
      return { type: 'wentBack', message, worker, from, to };
    }
    case 'renamed':
      return { type: 'renamed', message: `${who} was renamed from ${event.before}`, worker, before: event.before };
    case 'injectFault': {
      const { action } = event;
      return { type: 'injectFault', message: `${who} was told to ${faults[action]}`, worker, action };
    }
    default:
      return event satisfies never;
  }
}

const faults: Readonly<Record<FaultAction, string>> = { kill: 'die', freeze: 'freeze', slow: 'slow down' };

const pauseLines: Readonly<Record<PauseEvent['type'], string>> = {
  paused: 'paused: no workers left; training resumes when one joins',
  resumed: 'training resumes',
  pauseRequested: 'paused from the dashboard',
};
