/** Copies stretches of textures out. */
import { cellLength, type DeviceStretch } from '../device.ts';
import type { GlArray } from './arrays.ts';
import type { WebGlContext } from './context.ts';

/** Texels that hold a stretch: a part of one row, or whole rows. */
interface Box {
  readonly texture: object;
  readonly column: number;
  readonly row: number;
  readonly width: number;
  readonly rows: number;
  /** Values before the stretch. */
  readonly skip: number;
}

function boxOf({ array, offset, length }: DeviceStretch): Box {
  const { texture, size } = array as GlArray;
  if (length === 0) return { texture, column: 0, row: 0, width: 0, rows: 0, skip: 0 };
  const rowLength = size[0]!;
  const first = Math.floor(offset / cellLength);
  const last = Math.floor((offset + length - 1) / cellLength);
  const row = Math.floor(first / rowLength);
  const rows = Math.floor(last / rowLength) - row + 1;
  const column = rows === 1 ? first % rowLength : 0;
  const width = rows === 1 ? last - first + 1 : rowLength;
  return { texture, column, row, width, rows, skip: offset - (row * rowLength + column) * cellLength };
}

/** Reads at once: whoever asks waits until the device is done, which on a page is a worker's thread. */
export class ReadBack {
  readonly #gl: WebGlContext;
  readonly #framebuffer: object;
  /** Where what is read gathers on the device; undefined where there are no such buffers. */
  readonly #buffer: object | undefined;
  #bufferLength = 0;

  /** Reads through a framebuffer of its owner's, and a buffer of its owner's in WebGL 2. */
  constructor(gl: WebGlContext, framebuffer: object, buffer: object | undefined) {
    this.#gl = gl;
    this.#framebuffer = framebuffer;
    this.#buffer = buffer;
  }

  /** The values of each stretch, once all work asked for before is done. */
  read(stretches: readonly DeviceStretch[]): Float32Array[] {
    const boxes = stretches.map(boxOf);
    const lengths = boxes.map(({ width, rows }) => width * rows * cellLength);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    if (total === 0) return stretches.map(() => new Float32Array(0));
    const texels = this.#buffer === undefined ? this.#readEach(boxes, total) : this.#readTogether(boxes, total);
    let at = 0;
    return stretches.map(({ length }, index) => {
      const start = at + boxes[index]!.skip;
      at += lengths[index]!;
      return texels.slice(start, start + length);
    });
  }

  /**
   * All boxes one after another, through a buffer on the device: the driver is waited for once. Waiting rather than asking
   * a fence again and again, which takes the processor from an adapter that is itself a program on it.
   */
  #readTogether(boxes: readonly Box[], total: number): Float32Array {
    const gl = this.#gl;
    const target = gl['PIXEL_PACK_BUFFER'];
    gl.bindBuffer(target, this.#buffer!);
    if (total > this.#bufferLength) {
      gl.bufferData(target, total * 4, gl['STREAM_READ']);
      this.#bufferLength = total;
    }
    let at = 0;
    for (const box of boxes) {
      if (box.rows > 0) this.#readBox(box, at * 4);
      at += box.width * box.rows * cellLength;
    }
    const texels = new Float32Array(total);
    gl.getBufferSubData(target, 0, texels);
    gl.bindBuffer(target, null);
    return texels;
  }

  #readEach(boxes: readonly Box[], total: number): Float32Array {
    const texels = new Float32Array(total);
    let at = 0;
    for (const box of boxes) {
      const length = box.width * box.rows * cellLength;
      if (length > 0) this.#readBox(box, texels.subarray(at, at + length));
      at += length;
    }
    return texels;
  }

  #readBox({ texture, column, row, width, rows }: Box, into: Float32Array | number): void {
    const gl = this.#gl;
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], texture, 0);
    gl.readPixels(column, row, width, rows, gl['RGBA'], gl['FLOAT'], into);
  }
}
