/** Float textures: creating, writing and stacking them. */
import { cellLength } from '../device.ts';
import type { TextureMemory, TextureSize } from './arrays.ts';
import type { WebGlContext } from './context.ts';

export class Textures {
  readonly #gl: WebGlContext;
  /** Belongs to its owner. */
  readonly #framebuffer: object;

  constructor(gl: WebGlContext, framebuffer: object) {
    this.#gl = gl;
    this.#framebuffer = framebuffer;
  }

  /** @throws Error if the context refuses */
  create([width, height]: TextureSize): TextureMemory {
    const gl = this.#gl;
    const texture = gl.createTexture();
    if (texture === null) throw new Error('the context refused to make a texture');
    this.#bind(texture);
    const set = (name: string, value: string): void => gl.texParameteri(gl['TEXTURE_2D'], gl[name], gl[value]);
    for (const side of ['S', 'T']) set(`TEXTURE_WRAP_${side}`, 'CLAMP_TO_EDGE');
    for (const filter of ['MIN', 'MAG']) set(`TEXTURE_${filter}_FILTER`, 'NEAREST');
    gl.texImage2D(gl['TEXTURE_2D'], 0, gl['RGBA32F'], width, height, 0, gl['RGBA'], gl['FLOAT'], null);
    return { size: `${width}x${height}`, bytes: width * height * 16, texture, width, height };
  }

  /** Writes values from the first texel on, and zeros into the rest of the last row. */
  write({ texture, width, height }: TextureMemory, values: Float32Array): void {
    const gl = this.#gl;
    this.#bind(texture);
    gl.pixelStorei(gl['UNPACK_FLIP_Y_WEBGL'], false);
    const whole = Math.floor(values.length / (width * cellLength));
    const writeRows = (row: number, rows: number, data: Float32Array): void =>
      gl.texSubImage2D(gl['TEXTURE_2D'], 0, 0, row, width, rows, gl['RGBA'], gl['FLOAT'], data);
    if (whole > 0) writeRows(0, whole, values.subarray(0, whole * width * cellLength));
    if (whole < height) {
      const last = new Float32Array(width * cellLength);
      last.set(values.subarray(whole * width * cellLength));
      writeRows(whole, 1, last);
    }
  }

  /** Copies textures of equal size below each other. */
  stack(parts: readonly TextureMemory[], target: TextureMemory): void {
    const gl = this.#gl;
    gl.bindFramebuffer(gl['FRAMEBUFFER'], this.#framebuffer);
    this.#bind(target.texture);
    parts.forEach(({ texture, width, height }, part) => {
      gl.framebufferTexture2D(gl['FRAMEBUFFER'], gl['COLOR_ATTACHMENT0'], gl['TEXTURE_2D'], texture, 0);
      gl.copyTexSubImage2D(gl['TEXTURE_2D'], 0, 0, part * height, 0, 0, width, height);
    });
  }

  /** Binds a texture to a unit that gpu.js does not use. */
  #bind(texture: object): void {
    const gl = this.#gl;
    gl.activeTexture(gl['TEXTURE15']);
    gl.bindTexture(gl['TEXTURE_2D'], texture);
  }
}
