/** How many images a second are trained on, over the last few seconds. */
export interface Speed {
  add(images: number): void;
  /** Images so far. */
  readonly images: number;
  perSecond(): number;
}

const windowMs = 3_000;
const markEveryMs = 200;
const mostMarks = 1 + windowMs / markEveryMs;

export function createSpeed(nowMs: () => number): Speed {
  let images = 0;
  let addedAtMs = nowMs();
  let marks = [{ atMs: nowMs(), images: 0 }];

  return {
    add(count) {
      images += count;
      const atMs = nowMs();
      addedAtMs = atMs;
      if (atMs - marks.at(-1)!.atMs >= markEveryMs) marks.push({ atMs, images });
      // Nobody may ever ask.
      if (marks.length > 2 * mostMarks) marks = marks.slice(-mostMarks);
    },
    get images() {
      return images;
    },
    perSecond() {
      const atMs = nowMs();
      if (atMs - addedAtMs > windowMs) return 0;
      const first = marks.findLastIndex((mark) => mark.atMs <= atMs - windowMs);
      if (first > 0) marks = marks.slice(first);
      const { atMs: fromMs, images: before } = marks[0]!;
      return atMs > fromMs ? ((images - before) * 1000) / (atMs - fromMs) : 0;
    },
  };
}
