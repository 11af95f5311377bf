/** Passes and copies recorded into few submits. */
import type { GpuBufferLike, GpuDeviceLike, GpuEncoderLike, GpuPassLike } from '../gpujs.ts';

/** Passes recorded before they are handed to the device, so that it starts while more are recorded. */
const passesPerSubmit = 64;

export class Commands {
  readonly #device: GpuDeviceLike;
  #encoder: GpuEncoderLike | undefined;
  #passes = 0;

  constructor(device: GpuDeviceLike) {
    this.#device = device;
  }

  get #recording(): GpuEncoderLike {
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  pass(record: (pass: GpuPassLike) => void): void {
    const pass = this.#recording.beginComputePass();
    record(pass);
    pass.end();
    this.#passes++;
    if (this.#passes >= passesPerSubmit) this.submit();
  }

  /** Copies `bytes` from `at` on to `toAt`, in bytes. */
  copy(from: GpuBufferLike, at: number, to: GpuBufferLike, toAt: number, bytes: number): void {
    this.#recording.copyBufferToBuffer(from, at, to, toAt, bytes);
  }

  submit(): void {
    if (this.#encoder === undefined) return;
    this.#device.queue.submit([this.#encoder.finish()]);
    this.drop();
  }

  /** Forgets what was recorded and not submitted. */
  drop(): void {
    this.#encoder = undefined;
    this.#passes = 0;
  }
}
