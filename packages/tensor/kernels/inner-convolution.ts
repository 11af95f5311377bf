/** Convolution and its gradients in plain loops that skip the padding: infinity times a padding zero would be NaN. */
import { multiplyAddOnce } from './multiply-add';
import {
  CHANNELS, HEIGHT, IMAGES, OUTPUT_HEIGHT, OUTPUT_WIDTH, PADDING_HEIGHT, PADDING_WIDTH, RESULT_INPUT_GRADIENT,
  RESULT_OUTPUT, STRIDE_HEIGHT, STRIDE_WIDTH, WIDTH, WINDOW_HEIGHT, WINDOW_WIDTH,
} from './windows';

/**
 * Computes a `result` from the places of windows that lie inside the images, in the order given in src/backend.ts.
 * Slow, but only used for values that are not finite, which end most runs anyway.
 */
export function innerConvolution(
  result: i32, geometry: usize, filters: i32, left: usize, right: usize, output: usize, outputSize: i32,
): void {
  memory.fill(output, 0, <usize>outputSize << 2);
  const height = load<i32>(geometry, HEIGHT);
  const width = load<i32>(geometry, WIDTH);
  let window = 0;
  for (let image = 0; image < load<i32>(geometry, IMAGES); image++) {
    for (let windowY = 0; windowY < load<i32>(geometry, OUTPUT_HEIGHT); windowY++) {
      for (let windowX = 0; windowX < load<i32>(geometry, OUTPUT_WIDTH); windowX++, window++) {
        const top = windowY * load<i32>(geometry, STRIDE_HEIGHT) - load<i32>(geometry, PADDING_HEIGHT);
        const start = windowX * load<i32>(geometry, STRIDE_WIDTH) - load<i32>(geometry, PADDING_WIDTH);
        let place = 0;
        for (let y = top; y < top + load<i32>(geometry, WINDOW_HEIGHT); y++) {
          for (let x = start; x < start + load<i32>(geometry, WINDOW_WIDTH); x++, place++) {
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            addPlace(result, geometry, filters, left, right, output, window, place, (image * height + y) * width + x);
          }
        }
      }
    }
  }
}

/** Adds the products of one place of a window, which lies on `pixel`, to the result. */
function addPlace(
  result: i32, geometry: usize, filters: i32, left: usize, right: usize, output: usize, window: i32, place: i32, pixel: i32,
): void {
  const channels = load<i32>(geometry, CHANNELS);
  for (let channel = 0; channel < channels; channel++) {
    const ofImage = <usize>(pixel * channels + channel) << 2;
    for (let filter = 0; filter < filters; filter++) {
      const ofOutput = <usize>(window * filters + filter) << 2;
      const ofKernel = <usize>((place * channels + channel) * filters + filter) << 2;
      if (result == RESULT_OUTPUT) addProduct(output + ofOutput, left + ofImage, right + ofKernel);
      else if (result == RESULT_INPUT_GRADIENT) addProduct(output + ofImage, left + ofOutput, right + ofKernel);
      else addProduct(output + ofKernel, left + ofImage, right + ofOutput);
    }
  }
}

// @ts-ignore: decorator
@inline function addProduct(sum: usize, left: usize, right: usize): void {
  store<f32>(sum, multiplyAddOnce(load<f32>(sum), load<f32>(left), load<f32>(right)));
}

/** Adds the bias [filters], unless `bias` is 0, to every row of an output, then applies relu if `relu` is set. */
export function finishRows(output: usize, outputSize: i32, filters: i32, bias: usize, relu: bool): void {
  for (let at = 0; at < outputSize; at++, output += 4) {
    let value = load<f32>(output);
    if (bias != 0) value += load<f32>(bias + (<usize>(at % filters) << 2));
    store<f32>(output, relu ? max(value, <f32>0) : value);
  }
}

/** Whether any value is NaN. */
export function anyNaN(source: usize, count: i32): bool {
  for (const end = source + (<usize>count << 2); source < end; source += 4) {
    const value = load<f32>(source);
    if (value != value) return true;
  }
  return false;
}
