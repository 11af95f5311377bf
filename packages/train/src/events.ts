/** Events of a run: for the program that started it, and for those who watch. */
import type { Model } from '@lockstep/nn';
import type { FaultAction } from '@lockstep/protocol';
import type { EpochReport, Report, RunConfig } from './record/report.ts';
import type { Addresses } from './site/addresses.ts';

/** `message` is one line for people. */
export type TrainingEvent =
  | PreparedEvent
  | ListeningEvent
  /** The first step can be computed from now on. */
  | { readonly type: 'started' }
  | StepEvent
  | EpochEvent
  | WorkerEvent
  | RelaysEvent
  | CheckpointEvent
  | PauseEvent
  /** Something that people want to know, such as what computes. */
  | { readonly type: 'note'; readonly message: string }
  /** Something that the run goes on without, such as a checkpoint that could not be written. */
  | { readonly type: 'warning'; readonly message: string }
  | EndEvent;

/** Everything that is recorded of a run: events of the program, and those that only its viewers see. */
export type RecordedEvent =
  | TrainingEvent
  /** A line for people who watch; `ownerLine` may name what is on this machine. */
  | { readonly type: 'line'; readonly line: string; readonly ownerLine: string }
  /** Follows an epoch's event, with the weights that were evaluated. */
  | { readonly type: 'evaluated'; readonly report: EpochReport; readonly weights: Float32Array }
  /** The run leaves this behind; `weights` is a copy. */
  | { readonly type: 'report'; readonly report: Report; readonly weights: Float32Array };

/** Who ends a run on purpose: its owner, its program, or its start in a run that only gathered workers. */
export type StopCode = 'owner' | 'program' | 'planned';

/** Why a run ended before its last step: on purpose, which is no failure, or because it could not go on. */
export type Ending = { readonly message: string } & (
  | { readonly type: 'stopped'; readonly code: StopCode }
  | { readonly type: 'failed' }
);

/** Options are checked and data loaded. */
export interface PreparedEvent {
  readonly type: 'prepared';
  readonly model: Model;
  readonly parameters: number;
  readonly config: RunConfig;
  readonly stepsPerEpoch: number;
  readonly message: string;
}

/** Workers can join and viewers watch. */
export interface ListeningEvent {
  readonly type: 'listening';
  readonly addresses: Addresses;
  readonly host: string;
  readonly port: number;
  /** The port that was asked for, which may have been taken; 0 for any. */
  readonly wantedPort: number;
  /** Token for joining, and for watching unless everybody may watch. */
  readonly token: string | undefined;
  /** SHA-256 of a certificate that was made for this run, hex without colons. */
  readonly fingerprint: string | undefined;
}

/** The relays that workers can join have changed, or their numbers of workers. */
export interface RelaysEvent {
  readonly type: 'relays';
  readonly relays: readonly RelayPlace[];
}

/** A relay of the run, which workers that know the run's token can join. */
export interface RelayPlace {
  /** Without secrets. */
  readonly address: string;
  /** That compute for it. */
  readonly workers: number;
}

/** A step was taken. Of steps that a reader did not get to, the newest stands for all. */
export interface StepEvent {
  readonly type: 'step';
  /** Steps taken so far. */
  readonly step: number;
  /** From 1. */
  readonly epoch: number;
  /** Mean over the step's samples, with the weights before it. */
  readonly loss: number;
  /** Fraction of the step's samples that were classified correctly, 0 to 1; null if targets are values. */
  readonly accuracy: number | null;
  /** Moving averages over the last steps, a twentieth of each new one; of those of this process. */
  readonly smoothedLoss: number;
  readonly smoothedAccuracy: number | null;
  /** Samples of this step, and of all steps since this process took the run over. */
  readonly samples: number;
  readonly samplesSoFar: number;
  /** Workers that are ready. */
  readonly workers: number;
}

/** An epoch was evaluated, which may be some steps after its last one. */
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
      /** Whether it had been in the run before. */
      readonly returned: boolean;
    }
  | { readonly type: 'left'; readonly worker: Worker }
  /** The owner gave it another name. */
  | { readonly type: 'renamed'; readonly worker: Worker; readonly before: string }
  /** A result failed a check; it is computed again. */
  | { readonly type: 'rejected'; readonly worker: Worker | undefined }
  /** At most once in 30 seconds for each worker. */
  | { readonly type: 'late'; readonly worker: Worker; readonly step: number }
  /** Most of its time goes to its link. */
  | { readonly type: 'slowLink'; readonly worker: Worker }
  /** Its result was wrong. `shards` of its results had been added before. */
  | { readonly type: 'quarantined'; readonly worker: Worker; readonly shards: number }
  | { readonly type: 'injectFault'; readonly worker: Worker; readonly action: FaultAction }
);

/** A checkpoint is on the disk. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  /** In the folder of the run's checkpoints. */
  readonly file: string;
  /** Steps that it holds. */
  readonly step: number;
}

export type PauseEvent = {
  /** No worker is left; the run goes on; its owner asked for a pause at the end of this step. */
  readonly type: 'paused' | 'resumed' | 'pauseRequested';
  readonly message: string;
};

/** The last event of a run that did not fail. */
export interface EndEvent {
  /** Every step was taken; or the run was stopped before that. */
  readonly type: 'finished' | 'stopped';
  readonly report: Report;
}
