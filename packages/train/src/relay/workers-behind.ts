/** Watches the workers behind a relay, and reports their number and trustworthiness to the coordinator above. */
import type { Clock } from '@lockstep/protocol';
import type { CoordinatorState, WorkerRecord } from '@lockstep/rules';
import type { WorkerStatus } from '@lockstep/worker/internal';

export interface WorkersBehindOptions {
  readonly clock: Clock;
  /** Time without a ready worker after which `onIdle` is called. */
  readonly idleMs: number;
  /** Returns the state of the run below, if any. */
  readonly state: () => CoordinatorState | undefined;
  /** Reports to the coordinator above. */
  readonly report: (status: WorkerStatus) => void;
  /** Address at which workers with the run's token can join the relay. */
  readonly address?: string | undefined;
  /** Called when no worker has been ready for longer than `idleMs`. */
  readonly onIdle: () => void;
}

/** Interval at which the workers are counted and changes are reported. */
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

  /** Number of threads of the ready workers; at least 1, because the relay joins above as a worker, which has one. */
  get threads(): number {
    const threads = this.#ready().reduce((sum, record) => sum + record.threads, 0);
    return Math.max(1, Math.min(mostThreads, threads));
  }

  /** Resolves when a worker is ready. @throws Error if the relay is stopped before that */
  async present(): Promise<void> {
    while (!this.arePresent && !this.#isStopped) await new Promise<void>((resolve) => this.#wake.push(resolve));
    if (this.#isStopped) throw new Error('the relay leaves');
  }

  /** Notes that a run begins below. */
  begin(): void {
    this.#hadLiar = false;
    this.#isIdle = false;
    this.#readyAtMs = this.#options.clock.nowMs();
    this.#report();
  }

  /** Notes that a worker was quarantined after sums with its results had been sent. */
  noteLiar(): void {
    this.#hadLiar = true;
    this.#report();
  }

  /** Looks for ready workers; call it after every event that may have changed them. */
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

  /** Counts the ready workers, including those behind further relays. */
  #count(): number {
    return this.#ready().reduce((sum, { kind, workersBehind = 1 }) => sum + (kind === 'relay' ? workersBehind : 1), 0);
  }
}
