/** Watches the workers behind a relay: whether any is ready, how many there are, and what is said of them above. */
import type { Clock } from '../clock.ts';
import type { CoordinatorState, WorkerRecord } from '../coordinator/state.ts';
import type { WorkerStatus } from '../worker/session.ts';

export interface WorkersBehindOptions {
  readonly clock: Clock;
  /** How long none may be ready. */
  readonly idleMs: number;
  /** Of the run below, where there is one. */
  readonly state: () => CoordinatorState | undefined;
  /** Tells the coordinator above. */
  readonly report: (status: WorkerStatus) => void;
  /** Where workers that know the run's token can join the relay. */
  readonly address?: string | undefined;
  /** Called when none has been ready for so long. */
  readonly onIdle: () => void;
}

/** How often it looks; it reports at most so often. */
const checkMs = 250;
const mostThreads = 65_536;

export class WorkersBehind {
  readonly #options: WorkersBehindOptions;
  #readyAtMs: number;
  #isIdle = false;
  #hadLiar = false;
  #reported = 0;
  #wake: (() => void)[] = [];
  #isStopped = false;
  #cancel = (): void => {};

  constructor(options: WorkersBehindOptions) {
    this.#options = options;
    this.#readyAtMs = options.clock.nowMs();
    this.#schedule();
  }

  get arePresent(): boolean {
    return this.#ready().length > 0;
  }

  /** Of those that are ready; at least 1, as every worker has. */
  get threads(): number {
    const threads = this.#ready().reduce((sum, record) => sum + record.threads, 0);
    return Math.max(1, Math.min(mostThreads, threads));
  }

  /** Resolves when a worker is ready. @throws Error where it is stopped before that */
  async present(): Promise<void> {
    while (!this.arePresent && !this.#isStopped) await new Promise<void>((resolve) => this.#wake.push(resolve));
    if (this.#isStopped) throw new Error('the relay leaves');
  }

  /** A run begins below. */
  begin(): void {
    this.#hadLiar = false;
    this.#isIdle = false;
    this.#readyAtMs = this.#options.clock.nowMs();
    this.#report();
  }

  /** A worker was quarantined after sums with its results had been sent. */
  noteLiar(): void {
    this.#hadLiar = true;
    this.#report();
  }

  /** To be called after what may have changed the workers. */
  check(): void {
    const { clock, idleMs, state, onIdle } = this.#options;
    if (!state()) return;
    if (this.arePresent) {
      this.#readyAtMs = clock.nowMs();
      this.#isIdle = false;
      for (const wake of this.#wake.splice(0)) wake();
      if (this.#reported === 0) this.#report();
    } else if (!this.#isIdle && clock.nowMs() - this.#readyAtMs > idleMs) {
      this.#isIdle = true;
      onIdle();
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
    for (const wake of this.#wake.splice(0)) wake();
  }

  #report(): void {
    this.#reported = this.#count();
    const { address, report } = this.#options;
    const told = { ...(address !== undefined && { address }), ...(this.#hadLiar && { unverified: true }) };
    report({ hidden: false, workers: this.#reported, ...told });
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(checkMs, () => {
      if (this.#isStopped) return;
      this.check();
      if (this.#options.state() && this.#count() !== this.#reported) this.#report();
      this.#schedule();
    });
  }

  #ready(): WorkerRecord[] {
    const { connections, records } = this.#options.state() ?? {};
    return [...(connections?.values() ?? [])].flatMap(({ phase, workerId = '' }) => {
      const record = phase === 'ready' ? records?.get(workerId) : undefined;
      return record ? [record] : [];
    });
  }

  /** Behind relays behind this one as well. */
  #count(): number {
    return this.#ready().reduce((sum, { kind, workersBehind = 1 }) => sum + (kind === 'relay' ? workersBehind : 1), 0);
  }
}
