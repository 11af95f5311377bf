/** Joins a run from Node. */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { checkKinds, configurationError, type KindsOf, optionName } from '@lockstep/command/options';
import { type MessageOf, maxNameLength } from '@lockstep/protocol';
import { type AddressSource, openAddressBook } from './addresses.ts';
import { type JoinContext, type JoinEnd, JoinError, JoinedWorker, type WorkerEvent } from './joined-worker.ts';
import { Membership, type MembershipEnd, type MembershipEvent, type MembershipOptions } from './membership.ts';
import { openCompute } from './open-compute.ts';
import { type ComputeChoice, isHostChoice, kindsOfJoin, requireThreads, workerCommand } from './options.ts';
import { systemClock } from './system-clock.ts';

/** How a Node process takes part in a run. */
export interface JoinOptions {
  /** Name in the run's tables; by default the machine's name. */
  readonly name?: string | undefined;
  /** Backend that computes; by default `auto`. */
  readonly backend?: ComputeChoice | undefined;
  /** Compute threads, from 1 to 256; by default 1. */
  readonly threads?: number | undefined;
  /** The secret of the run, if the address does not contain it. */
  readonly token?: string | undefined;
  /** SHA-256 in hex of the only certificate to trust, if the address lacks it. */
  readonly fingerprint?: string | undefined;
  /** Whether to wait for a coordinator that does not answer yet. */
  readonly wait?: boolean | undefined;
  /** Aborted to make the worker leave, as `leave` does. */
  readonly signal?: AbortSignal | undefined;
}

/** Time after which a person is told that opening the backend takes long. */
const patienceMs = 1_000;

/**
 * Computes for a run until it is over, and reconnects by itself if the connection breaks.
 * @param url the join address that the coordinator printed, such as `ws://127.0.0.1:7070`, or a source of current
 * addresses
 */
export function join(url: string | AddressSource, options: JoinOptions = {}): JoinedWorker {
  return new JoinedWorker((context) => takePart(url, options, context), options?.signal);
}

/** Joins as `join` does, with a compute that is already being opened; closes it at the end. */
export function joinComputing(url: string, options: JoinOptions, opening: OpeningCompute): JoinedWorker {
  return new JoinedWorker((context) => takePart(url, options, context, opening), options.signal);
}

type OpeningCompute = ReturnType<typeof openCompute>;

async function takePart(
  url: string | AddressSource,
  options: JoinOptions,
  context: JoinContext,
  opening?: OpeningCompute,
): Promise<JoinEnd> {
  checkKinds(options, kindsOfJoin satisfies KindsOf<JoinOptions>);
  const over = new AbortController();
  // Only local workers open their compute before they join.
  const book = openAddressBook(url, options, context.leaving, over, opening !== undefined);
  const defaults = workerCommand.options;
  const {
    name = hostname().slice(0, maxNameLength),
    backend = defaults.backend.default,
    threads = defaults.threads.default,
    wait = false,
  } = options;
  requireThreads(backend, threads);
  const opensSoon = isHostChoice(backend)
    ? () => {}
    : systemClock.after(patienceMs, () => context.emit({ type: 'opening', backend }));
  const { compute, refused, choice } = await (opening ?? openCompute(backend, threads))
    .catch((error: Error) => {
      throw configurationError`${optionName('backend', backend)}: ${error.message}`;
    })
    .finally(opensSoon);
  try {
    context.emit({
      type: 'opened',
      backend: compute.backend,
      threads: compute.threads,
      reasons: [...refused, choice],
    });
    const work = {
      compute,
      clock: systemClock,
      waitForCoordinator: wait || typeof url !== 'string',
      hash: (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex'),
      identity: {
        ...{ kind: 'node' as const, name },
        get token() {
          return book.token;
        },
      },
      connect: () => book.connect(),
      onWelcome: ({ addresses }: MessageOf<'welcome'>) => book.learn(addresses ?? []),
    };
    const emit = (event: WorkerEvent): void => void (over.signal.aborted || context.emit(event));
    const leaving = AbortSignal.any([context.leaving, over.signal]);
    let end = await runWorker(work, { emit, leaving });
    while (end.type === 'finished' && (await book.goesOn())) end = await runWorker(work, { emit, leaving });
    return over.signal.aborted ? { type: 'finished', message: 'the run is over' } : end;
  } finally {
    await compute.close();
  }
}

type Work = Omit<MembershipOptions, 'random' | 'onEvent'>;

/** Converts the end of a membership. @throws JoinError if the worker was not let in or could not go on */
export function endOf(end: MembershipEnd, leaving: AbortSignal): JoinEnd {
  const { type, message } = end;
  if (type === 'finished') return { type: leaving.aborted ? 'left' : 'finished', message };
  throw new JoinError(type, message, end.type === 'unreachable' ? { cause: end.cause } : {});
}

/** Runs one membership to its end. @throws JoinError if the worker is not let in or cannot go on */
export async function runWorker(options: Work, { emit, leaving }: JoinContext): Promise<JoinEnd> {
  const membership = new Membership({ ...options, random: Math.random, onEvent: workerEvents(emit) });
  const leave = (): void => membership.leave(`${options.identity.name} leaves`);
  leaving.addEventListener('abort', leave);
  if (leaving.aborted) leave();
  return endOf(await membership.ended, leaving);
}

/** Converts a membership's events into worker events with running totals. */
export function workerEvents(emit: JoinContext['emit']): (event: MembershipEvent) => void {
  let hasJoined = false;
  let [shards, samples, computeMs] = [0, 0, 0];
  return (event) => {
    switch (event.type) {
      case 'welcomed':
        emit({ type: 'joined', id: event.id, returned: hasJoined });
        hasJoined = true;
        return;
      case 'computed':
        shards += 1;
        samples += event.count;
        computeMs += event.computeMs;
        emit({ type: 'computed', step: event.step + 1, shards, samples, computeMs });
        return;
      case 'ready':
        emit(event);
        return;
      case 'lost':
      case 'unreached':
        emit({ type: event.type, message: event.message });
        return;
      default:
        event satisfies never;
    }
  };
}
