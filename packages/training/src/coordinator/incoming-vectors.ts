/** Takes in what workers send as vectors, message by message; the rules are told of each once it is whole. */
import type { MessageOf } from '@lockstep/protocol';
import type { FloatChunk } from '../vector-chunks.ts';
import type { UntimedEvent } from './events.ts';
import type { IncomingGradient } from './incoming-gradient.ts';
import { IncomingNumerics } from './incoming-numerics.ts';
import type { Arrival, ResultReceiver } from './result-receiver.ts';
import type { RunOptions } from './run-options.ts';
import type { ConnectionId, CoordinatorState } from './state.ts';

/** A vector of which chunks are missing. */
type OpenVector =
  | { readonly type: 'gradient'; readonly gradient: IncomingGradient }
  | { readonly type: 'numericsResult'; readonly numerics: IncomingNumerics };

/** What has become whole, or has a fault. */
export interface Received {
  readonly event: UntimedEvent;
  /** The first message of a gradient that is whole. */
  readonly gradient?: MessageOf<'gradient'>;
  /** The result whose fate the rules decide. */
  readonly arrival?: Arrival | undefined;
}

type Options = Pick<RunOptions, 'setup' | 'referenceGradient' | 'numericsCheck' | 'newHash'>;

export class IncomingVectors {
  readonly #options: Options;
  readonly #results: ResultReceiver;
  /** At most one for each connection: chunks of two vectors never mix. */
  readonly #open = new Map<ConnectionId, OpenVector>();

  constructor(options: Options, results: ResultReceiver) {
    this.#options = options;
    this.#results = results;
  }

  /** Takes the next message of a vector; undefined where more of it has to come. */
  receive(
    state: CoordinatorState,
    connection: ConnectionId,
    message: MessageOf<'gradient' | 'numericsResult' | 'chunk'>,
  ): Received | undefined {
    const open = this.#open.get(connection);
    if (message.type === 'chunk') {
      if (!open) return invalid(connection, 'chunk: expected a vector that it is part of, got none');
      return open.type === 'gradient'
        ? this.#takeGradient(state, connection, open.gradient, message)
        : this.#takeNumerics(connection, open.numerics, message);
    }
    if (open) return invalid(connection, `${message.type}: expected the other chunks of a ${open.type} first`);
    if (message.type === 'gradient') {
      const gradient = this.#results.begin(state, connection, message);
      return this.#takeGradient(state, connection, gradient, message);
    }
    return this.#beginNumerics(connection, message);
  }

  /** Drops what a connection has sent of a vector. */
  forget(connection: ConnectionId): void {
    const open = this.#open.get(connection);
    if (open?.type === 'gradient') open.gradient.drop();
    this.#open.delete(connection);
  }

  #takeGradient(
    state: CoordinatorState,
    connection: ConnectionId,
    gradient: IncomingGradient,
    message: MessageOf<'gradient' | 'chunk'>,
  ): Received | undefined {
    const fault = gradient.add(message);
    if (fault !== undefined) {
      gradient.drop();
      this.#open.delete(connection);
      return invalid(connection, fault);
    }
    if (!gradient.isWhole) {
      this.#open.set(connection, { type: 'gradient', gradient });
      return undefined;
    }
    this.#open.delete(connection);
    const { told, arrival } = this.#results.finish(state, connection, gradient);
    const event = { type: 'message', connection, message: told } as const;
    const hasSum = told.type === 'gradient' && told.isFinite !== false;
    return hasSum ? { event, arrival, gradient: gradient.header } : { event, arrival };
  }

  #beginNumerics(connection: ConnectionId, result: MessageOf<'numericsResult'>): Received | undefined {
    const { referenceGradient: reference, setup, newHash } = this.#options;
    const numerics = new IncomingNumerics(result, { reference, chunkBytes: setup.limits.chunkBytes, newHash });
    const fault = numerics.announcementFault();
    if (fault !== undefined) return invalid(connection, `numericsResult: ${fault}`);
    return this.#takeNumerics(connection, numerics, { at: 0, bytes: result.gradient });
  }

  #takeNumerics(connection: ConnectionId, numerics: IncomingNumerics, chunk: FloatChunk): Received | undefined {
    const fault = numerics.add(chunk);
    this.#open.delete(connection);
    if (fault !== undefined) return invalid(connection, `numericsResult: ${fault}`);
    if (numerics.isWhole) return this.#finishNumerics(connection, numerics);
    this.#open.set(connection, { type: 'numericsResult', numerics });
    return undefined;
  }

  #finishNumerics(connection: ConnectionId, numerics: IncomingNumerics): Received {
    const { numericsCheck } = this.#options;
    const { hash: claimed, computeMs } = numerics.result;
    const fault = numerics.fault();
    if (fault !== undefined) return { event: { type: 'numericsMismatch', connection, message: fault } };
    const hash = numerics.hash();
    if (hash !== claimed) return invalid(connection, `numerics check: expected hash ${hash}, got ${claimed}`);
    const samplesPerMs = computeMs > 0 ? numericsCheck.count / computeMs : 0;
    const message = { type: 'numericsResult', hash, samplesPerMs, computeMs } as const;
    return { event: { type: 'message', connection, message } };
  }
}

function invalid(connection: ConnectionId, message: string): Received {
  return { event: { type: 'invalid', connection, closeCode: 1002, message } };
}
