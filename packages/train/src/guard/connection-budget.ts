/**
 * What one connection may send: the answers to what it was asked for, and a little beside them.
 *
 * Everything is charged as it arrives, before anything is decoded; an answer that was asked for is refunded. Until then
 * the account may be overdrawn by as many messages and bytes as all open requests explain.
 */
import { type Rate, TokenBucket } from './token-bucket.ts';

export interface BudgetLimits {
  readonly messages: Rate;
  readonly bytes: Rate;
  /** Most bytes of one answer. */
  readonly answerBytes: number;
}

/** A request of a step so long ago is answered by nothing any more. */
const stepsKept = 64;

export class ConnectionBudget {
  readonly #answerBytes: number;
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  /** By what identifies the answer: the step that it is for. */
  readonly #open = new Map<string, number>();

  constructor({ messages, bytes, answerBytes }: BudgetLimits, nowMs: () => number) {
    this.#answerBytes = answerBytes;
    this.#messages = new TokenBucket(messages, nowMs);
    this.#bytes = new TokenBucket(bytes, nowMs);
  }

  /** The connection is asked for something. @param step of a task; requests of old steps are forgotten */
  ask(request: string, step = Number.POSITIVE_INFINITY): void {
    this.#open.set(request, step);
    if (step === Number.POSITIVE_INFINITY) return;
    for (const [key, askedIn] of this.#open) if (askedIn < step - stepsKept) this.#open.delete(key);
  }

  /** So many bytes have arrived, or a message is whole. Whether the connection stays within its budget. */
  charge({ messages = 0, bytes = 0 }: { readonly messages?: number; readonly bytes?: number }): boolean {
    this.#messages.spend(messages);
    this.#bytes.spend(bytes);
    const { size } = this.#open;
    return this.#messages.level + size >= 0 && this.#bytes.level + size * this.#answerBytes >= 0;
  }

  /** A message of so many bytes was the answer to a request; refunds it if that was open. */
  answer(request: string, bytes: number): void {
    if (!this.#open.delete(request)) return;
    this.#messages.refund(1);
    this.#bytes.refund(bytes);
  }
}
