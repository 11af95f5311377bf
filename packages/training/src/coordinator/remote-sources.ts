/** What all remote workers of a run are sent: each message is made and encoded once for those that are at it. */
import { bytesOf, type CoordinatorMessage, type FrameMemory, framed } from '@lockstep/protocol';
import { encodeBatch } from '../batch-bytes.ts';
import type { NumericsCheck } from '../numerics-check.ts';
import type { Parameters } from '../parameters.ts';
import type { ShardSource } from '../shard-source.ts';
import { announced } from '../vector-chunks.ts';
import { FramePool } from './frame-pool.ts';
import type { RunSetup } from './run-setup.ts';
import { TaskSender } from './task-sender.ts';
import { type OutgoingVector, VectorBroadcast } from './vector-broadcast.ts';

interface RemoteSourcesOptions {
  readonly setup: Pick<RunSetup, 'plan' | 'limits'>;
  readonly samples: ShardSource;
  readonly parameterServer: Parameters;
  readonly numericsCheck: NumericsCheck;
}

/** Longer weights of the numerics check are not kept. */
const mostKeptBytes = 4 * 1024 * 1024;

export class RemoteSources {
  readonly tasks: TaskSender;
  readonly #numericsCheck: NumericsCheck;
  readonly #parameterServer: Parameters;
  readonly #chunkBytes: number;
  readonly #pool: FramePool;
  #check: VectorBroadcast | undefined;
  #weights: VectorBroadcast | undefined;
  #weightsStep = -1;

  constructor({ setup, samples, parameterServer, numericsCheck }: RemoteSourcesOptions) {
    this.tasks = new TaskSender(samples, setup.plan);
    this.#parameterServer = parameterServer;
    this.#chunkBytes = setup.limits.chunkBytes;
    this.#numericsCheck = numericsCheck;
    this.#pool = new FramePool(Math.min(this.#vectorBytes, this.#chunkBytes));
    parameterServer.beforeChange(() => this.#weights?.keepRest());
  }

  /** The numerics check. Where its weights are long they are made anew for workers that join later. */
  numericsCheck(): OutgoingVector {
    this.#check ??= this.#newCheck();
    return this.#check.stream();
  }

  /** The newest weights, which are those of the step. */
  weights(step: number): OutgoingVector {
    if (!this.#weights || this.#weightsStep !== step) {
      this.#weights?.keepRest();
      this.#weights = this.#newWeights(step);
      this.#weightsStep = step;
    }
    return this.#weights.stream();
  }

  /** Of the newest weights: whether connections still wait for chunks, and how many were given to them. */
  get unsent(): { readonly isAny: boolean; readonly given: number } {
    const { isOpen = false, given = 0 } = this.#weights ?? {};
    return { isAny: isOpen, given };
  }

  get #vectorBytes(): number {
    return this.#parameterServer.parameterCount * 4;
  }

  #newWeights(step: number): VectorBroadcast {
    const { backend, parameters } = this.#parameterServer;
    return this.#broadcast(
      () => bytesOf(backend.view(parameters)),
      (bytes, fields, memory) => framed({ type: 'weights', step, ...fields, bytes }, memory),
    );
  }

  #newCheck(): VectorBroadcast {
    const { weights: checked, ...batch } = this.#numericsCheck;
    return this.#broadcast(
      () => checked,
      (weights, fields) => ({ type: 'numericsCheck', weights, ...fields, ...encodeBatch(batch) }),
      () => this.#forgetLongCheck(),
    );
  }

  #forgetLongCheck(): void {
    if (this.#vectorBytes <= mostKeptBytes) return;
    this.#check?.forgetFrames();
    this.#check = undefined;
  }

  /** @param begin makes the first message */
  #broadcast(
    bytes: () => Uint8Array,
    begin: (bytes: Uint8Array, fields: { readonly values?: number }, memory: FrameMemory) => CoordinatorMessage,
    onIdle = (): void => {},
  ): VectorBroadcast {
    const length = this.#parameterServer.parameterCount;
    const chunkBytes = this.#chunkBytes;
    return new VectorBroadcast({
      ...{ length, bytes, chunkBytes, onIdle, pool: this.#pool },
      messageOf: (part, from, memory) =>
        from === 0
          ? begin(part, announced(length, chunkBytes), memory)
          : framed({ type: 'chunk', at: from, bytes: part }, memory),
    });
  }
}
