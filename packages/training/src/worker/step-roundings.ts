/** How a worker rounds in each step of a run: as its welcome says, with the exponents that come before the step's weights. */
import { blockLength, type MessageOf } from '@lockstep/protocol';
import { levelRounding, type NodeRounding } from '../node-rounding.ts';

type Welcome = Pick<MessageOf<'welcome'>, 'gradients' | 'gradientUnit'>;

export class StepRoundings {
  readonly #first: NodeRounding | undefined;
  /** By step; those of a step may overtake the weights of the one before. */
  readonly #exponents = new Map<number, Int8Array<ArrayBuffer>>();

  /** @throws Error with one sentence where the welcome lacks the unit */
  constructor({ gradients, gradientUnit }: Welcome = {}) {
    if (gradients !== 'fp16-exact' && gradients !== 'int8-exact') return;
    if (gradientUnit === undefined) throw new Error(`welcome: expected a gradientUnit with ${gradients}, got none`);
    this.#first = { type: 'fp16', unit: gradientUnit };
  }

  /** @throws Error with one sentence where exponents are missing */
  add({ step, at, bytes }: MessageOf<'exponents'>): void {
    const known = this.#exponents.get(step) ?? new Int8Array(0);
    if (at !== known.length) {
      throw new Error(`exponents: expected those from block ${known.length} on, got those from block ${at} on`);
    }
    const exponents = new Int8Array(at + bytes.length);
    exponents.set(known);
    exponents.set(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length), at);
    this.#exponents.set(step, exponents);
  }

  /** That of a step whose weights are there; of the steps before it nothing is kept. @throws Error where exponents do not fit */
  take(step: number, parameterCount: number): NodeRounding | undefined {
    const exponents = this.#exponents.get(step);
    for (const known of this.#exponents.keys()) if (known <= step) this.#exponents.delete(known);
    if (!exponents) return this.#first;
    const blocks = Math.ceil(parameterCount / blockLength);
    if (exponents.length !== blocks) {
      throw new Error(`exponents: expected those of ${blocks} blocks, got ${exponents.length}`);
    }
    return levelRounding(exponents, parameterCount);
  }
}
