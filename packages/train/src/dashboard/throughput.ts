/** Images a second, over the last few seconds. */
const windowMs = 3_000;
const markEveryMs = 200;
const marksInWindow = 1 + windowMs / markEveryMs;

export class Throughput {
  images = 0;
  readonly #nowMs: () => number;
  #addedAtMs: number;
  #marks: { readonly atMs: number; readonly images: number }[];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#addedAtMs = nowMs();
    this.#marks = [{ atMs: this.#addedAtMs, images: 0 }];
  }

  add(count: number): void {
    const atMs = this.#nowMs();
    this.images += count;
    this.#addedAtMs = atMs;
    if (atMs - this.#marks.at(-1)!.atMs >= markEveryMs) this.#marks.push({ atMs, images: this.images });
    // Bounded even if `perSecond` is never called.
    if (this.#marks.length > 2 * marksInWindow) this.#marks = this.#marks.slice(-marksInWindow);
  }

  perSecond(): number {
    const atMs = this.#nowMs();
    if (atMs - this.#addedAtMs > windowMs) return 0;
    const first = this.#marks.findLastIndex((mark) => mark.atMs <= atMs - windowMs);
    if (first > 0) this.#marks = this.#marks.slice(first);
    const { atMs: fromMs, images } = this.#marks[0]!;
    return atMs > fromMs ? ((this.images - images) * 1000) / (atMs - fromMs) : 0;
  }
}
