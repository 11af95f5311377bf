/** Batches passes and copies into a few submits. */
import type { GpuDeviceLike, GpuEncoderLike, GpuPassLike } from '../gpujs.ts';

/** Passes recorded before a submit, so that the device starts while more are recorded. */
const passesPerSubmit = 64;

export class Commands {
  readonly #device: GpuDeviceLike;
  #encoder: GpuEncoderLike | undefined;
  #passes = 0;

  constructor(device: GpuDeviceLike) {
    this.#device = device;
  }

  /** The encoder on which copies are recorded as well. */
  get encoder(): GpuEncoderLike {
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  pass(record: (pass: GpuPassLike) => void): void {
    const pass = this.encoder.beginComputePass();
    record(pass);
    pass.end();
    this.#passes++;
    if (this.#passes >= passesPerSubmit) this.submit();
  }

  submit(): void {
    if (this.#encoder === undefined) return;
    this.#device.queue.submit([this.#encoder.finish()]);
    this.drop();
  }

  /** Discards what was recorded but not submitted. */
  drop(): void {
    this.#encoder = undefined;
    this.#passes = 0;
  }
}
