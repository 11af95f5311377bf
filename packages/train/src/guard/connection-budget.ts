/**
 * What one connection may send: the answers to what it was asked for, and a little beside them.
 *
 * Everything is charged as it arrives, before anything is decoded; an answer that was asked for is refunded. Until then
 * the account may be overdrawn by as many messages and bytes as all open requests explain.
 */
import { type Rate, TokenBucket } from './limiter.ts';

/** The most that one answer takes. */
export interface AnswerSize {
  readonly messages: number;
  readonly bytes: number;
}

export interface BudgetLimits {
  readonly messages: Rate;
  readonly bytes: Rate;
  readonly answer: AnswerSize;
}

/** A request of a step so long ago is answered by nothing any more. */
const stepsKept = 64;

export class ConnectionBudget {
  readonly #answer: AnswerSize;
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;
  /** By what identifies the answer: the step that it is for. */
  readonly #open = new Map<string, number>();
  /** Of the vector that was begun last, where it was asked for. */
  #chunksDue = 0;

  constructor({ messages, bytes, answer }: BudgetLimits, nowMs: () => number) {
    this.#answer = answer;
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
    const answer = this.#answer;
    return this.#messages.level + size * answer.messages >= 0 && this.#bytes.level + size * answer.bytes >= 0;
  }

  /** A message of so many bytes was the answer to a request; refunds it if that was open. Whether it was. */
  answer(request: string, bytes: number): boolean {
    if (!this.#open.delete(request)) return false;
    this.#refund(bytes);
    return true;
  }

  /** As `answer` for the first message of a vector, whose chunks follow, with other messages between them. */
  beginAnswer(request: string, bytes: number): void {
    this.#chunksDue = this.answer(request, bytes) ? this.#answer.messages - 1 : 0;
  }

  /** A chunk of so many bytes; refunds it where its vector was asked for and is not longer than it may be. */
  continueAnswer(bytes: number): void {
    if (this.#chunksDue === 0) return;
    this.#chunksDue -= 1;
    this.#refund(bytes);
  }

  #refund(bytes: number): void {
    this.#messages.refund(1);
    this.#bytes.refund(bytes);
  }
}
