/** The tasks of a worker, in the order of their arrival: those of the current step, and those sent ahead of it. */
import type { MessageOf } from '@lockstep/protocol';
import type { LabeledShard } from './sample-cache.ts';

export interface Task extends Pick<MessageOf<'task'>, 'step' | 'lo' | 'n'>, LabeledShard {
  /** Position of its first sample in the epoch's order. */
  readonly firstSample: number;
  readonly receivedAtMs: number;
  /** Set while it runs, where its answer is not needed any more. */
  isCanceled: boolean;
  /** Called when that is set. */
  onCancel?: () => void;
}

export class TaskQueue {
  #waiting: Task[] = [];
  #running: Task | undefined;

  add(task: Task): void {
    this.#waiting.push(task);
  }

  /** Takes the oldest task of a step out of the queue; it runs from now on. */
  start(step: number): Task | undefined {
    const index = this.#waiting.findIndex((task) => task.step === step);
    this.#running = index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
    return this.#running;
  }

  /** Cancels the task of a shard, whether it waits or runs. */
  cancel({ step, lo, n }: Pick<Task, 'step' | 'lo' | 'n'>): void {
    const isSame = (task: Task): boolean => task.step === step && task.lo === lo && task.n === n;
    this.#waiting = this.#waiting.filter((task) => !isSame(task));
    if (this.#running && isSame(this.#running)) cancelTask(this.#running);
  }

  cancelAll(): void {
    this.#waiting = [];
    if (this.#running) cancelTask(this.#running);
  }

  /** Drops the tasks that wait and are of earlier steps. */
  dropBefore(step: number): void {
    this.#waiting = this.#waiting.filter((task) => task.step >= step);
  }
}

function cancelTask(task: Task): void {
  task.isCanceled = true;
  task.onCancel?.();
}
