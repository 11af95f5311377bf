/** Softmax cross-entropy of each row of logits, and its gradient. */
import { exp4, log4 } from './transcendental';

/**
 * Uses the formula and the order of `CrossEntropyCall` in src/backend.ts. `gradient` first holds the exponentials. If
 * only the losses are wanted, `gradientRowBytes` is 0 and all rows share the room of one.
 */
export function crossEntropy(
  rows: i32, classes: i32, logits: usize, labels: usize, losses: usize, gradient: usize, gradientRowBytes: usize,
): void {
  const bytes = <usize>classes << 2;
  for (let row = 0; row < rows; row++, logits += bytes, gradient += gradientRowBytes, labels += 4, losses += 4) {
    const label = load<f32>(labels);
    if (!(label >= 0 && label < <f32>classes && floor(label) == label)) {
      store<f32>(losses, f32.NaN);
      for (let at: usize = 0; at < bytes; at += 4) store<f32>(gradient + at, f32.NaN);
      continue;
    }
    let largest: f32 = f32.NEGATIVE_INFINITY;
    for (let at: usize = 0; at < bytes; at += 4) largest = max(largest, load<f32>(logits + at));
    const labelAt = <usize>label << 2;
    const atLabel = load<f32>(logits + labelAt) - largest;
    const shift = f32x4.splat(largest);
    let total: f32 = 0;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const power = exp4(f32x4.sub(v128.load(logits + at), shift));
      v128.store(gradient + at, power);
      total += f32x4.extract_lane(power, 0);
      total += f32x4.extract_lane(power, 1);
      total += f32x4.extract_lane(power, 2);
      total += f32x4.extract_lane(power, 3);
    }
    for (; at < bytes; at += 4) {
      const power = f32x4.extract_lane(exp4(f32x4.splat(load<f32>(logits + at) - largest)), 0);
      store<f32>(gradient + at, power);
      total += power;
    }
    store<f32>(losses, f32x4.extract_lane(log4(f32x4.splat(total)), 0) - atLabel);
    for (at = 0; at < bytes; at += 4) store<f32>(gradient + at, load<f32>(gradient + at) / total);
    store<f32>(gradient + labelAt, load<f32>(gradient + labelAt) - 1);
  }
}
