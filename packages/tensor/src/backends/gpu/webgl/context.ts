/** The part of the WebGL API that is used here; its official types would require the DOM's. */

export interface WebGlContext {
  readonly [constant: string]: unknown;
  getExtension(name: string): { readonly UNMASKED_RENDERER_WEBGL: number } | null;
  getParameter(name: unknown): unknown;
  isContextLost(): boolean;
  createTexture(): object | null;
  deleteTexture(texture: object): void;
  activeTexture(unit: unknown): void;
  bindTexture(target: unknown, texture: object | null): void;
  texParameteri(target: unknown, name: unknown, value: unknown): void;
  pixelStorei(name: unknown, value: unknown): void;
  texImage2D(...parameters: unknown[]): void;
  texSubImage2D(...parameters: unknown[]): void;
  createFramebuffer(): object | null;
  deleteFramebuffer(framebuffer: object): void;
  bindFramebuffer(target: unknown, framebuffer: object | null): void;
  framebufferTexture2D(...parameters: unknown[]): void;
  copyTexSubImage2D(...parameters: unknown[]): void;
  readPixels(...parameters: unknown[]): void;
  createBuffer(): object | null;
  deleteBuffer(buffer: object): void;
  bindBuffer(target: unknown, buffer: object | null): void;
  bufferData(target: unknown, bytes: number, use: unknown): void;
  getBufferSubData(target: unknown, at: number, into: Float32Array): void;
}
