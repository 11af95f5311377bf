/** Events of a run, for the program that started it and for viewers. */
import type { Model } from '@lockstep/nn';
import type { FaultAction } from '@lockstep/protocol';
import type { EpochReport, Report, RunConfig } from './record/report.ts';
import type { Addresses } from './site/secrets.ts';

/** `message` is one line for people. */
export type TrainingEvent =
  | PreparedEvent
  | ListeningEvent
  /** From now on, the first step can be computed. */
  | { readonly type: 'started' }
  | StepEvent
  | EpochEvent
  | WorkerEvent
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
export type Ending = { readonly message: string } & (
  | { readonly type: 'stopped'; readonly code: StopCode }
  | { readonly type: 'failed' }
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

/** An epoch was evaluated, possibly some steps after its last one. */
export interface EpochEvent extends EpochReport {
  readonly type: 'epoch';
}

interface Worker {
  readonly id: string;
  readonly name: string;
}

export type WorkerEvent = { readonly message: string } & (
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
  | { readonly type: 'injectFault'; readonly worker: Worker; readonly action: FaultAction }
);

/** A checkpoint has been written to disk. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** File name in the run's folder of checkpoints. */
  readonly file: string;
  /** Number of steps taken by the checkpoint. */
  readonly step: number;
}

export type PauseEvent = {
  /**
   * `paused`: no worker is left; `resumed`: the run goes on; `pauseRequested`: the owner requested a pause after this
   * step.
   */
  readonly type: 'paused' | 'resumed' | 'pauseRequested';
  readonly message: string;
};

/** The last event of a run that did not fail. */
export interface EndEvent {
  /** `finished` if every step was taken; `stopped` if the run ended earlier. */
  readonly type: 'finished' | 'stopped';
  readonly report: Report;
}
