/** Reads stretches of textures back to the host. */
import { cellLength, type DeviceStretch } from '../device.ts';
import type { GlArray } from './arrays.ts';
import type { WebGlContext } from './context.ts';

/** Texels that hold a stretch: part of one row, or whole rows; `skip` values precede the stretch. */
function boxOf({ array, offset, length }: DeviceStretch) {
  const { texture, width: rowLength } = (array as GlArray).memory;
  if (length === 0) return { texture, column: 0, row: 0, width: 0, rows: 0, skip: 0 };
  const first = Math.floor(offset / cellLength);
  const last = Math.floor((offset + length - 1) / cellLength);
  const row = Math.floor(first / rowLength);
  const rows = Math.floor(last / rowLength) - row + 1;
  const column = rows === 1 ? first % rowLength : 0;
  const width = rows === 1 ? last - first + 1 : rowLength;
  return { texture, column, row, width, rows, skip: offset - (row * rowLength + column) * cellLength };
}

type Box = ReturnType<typeof boxOf>;

/** Reads synchronously: the calling thread blocks until the device is done. On a page that is a worker's thread. */
export class ReadBack {
  readonly #gl: WebGlContext;
  readonly #framebuffer: object;
  /** Collects the texels on the device. */
  readonly #buffer: object;
  #bufferLength = 0;

  /** Uses a framebuffer and a buffer that belong to its owner. */
  constructor(gl: WebGlContext, framebuffer: object, buffer: object) {
    this.#gl = gl;
    this.#framebuffer = framebuffer;
    this.#buffer = buffer;
  }

  /** Returns the values of each stretch after all work requested earlier. */
  read(stretches: readonly DeviceStretch[]): Float32Array[] {
    const boxes = stretches.map(boxOf);
    let total = 0;
    const starts = boxes.map(({ width, rows }) => {
      total += width * rows * cellLength;
      return total - width * rows * cellLength;
    });
    const texels = new Float32Array(total);
    if (total > 0) this.#readTogether(boxes, starts, texels);
    return stretches.map(({ length }, index) => {
      const start = starts[index]! + boxes[index]!.skip;
      return texels.slice(start, start + length);
    });
  }

  /**
   * Reads through a buffer on the device, to wait for the driver only once. Blocks instead of polling a fence, which
   * would take processor time from a software renderer.
   */
  #readTogether(boxes: readonly Box[], starts: readonly number[], texels: Float32Array): void {
    const gl = this.#gl;
    const target = gl['PIXEL_PACK_BUFFER'];
    gl.bindBuffer(target, this.#buffer);
    if (texels.length > this.#bufferLength) {
      gl.bufferData(target, texels.byteLength, gl['STREAM_READ']);
      this.#bufferLength = texels.length;
    }
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    boxes.forEach(({ texture, column, row, width, rows }, index) => {
      if (rows === 0) return;
      gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], texture, 0);
      const at = starts[index]! * Float32Array.BYTES_PER_ELEMENT;
      gl.readPixels(column, row, width, rows, gl['RGBA'], gl['FLOAT'], at);
    });
    gl.getBufferSubData(target, 0, texels);
    gl.bindBuffer(target, null);
  }
}
