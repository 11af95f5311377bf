/** Values fixed by the WebGPU specification; the globals that hold them exist only in browsers. */

export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

export const mapModeRead = 1;
