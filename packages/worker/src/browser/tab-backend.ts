/** What a tab can compute on. */
export type TabBackend = 'auto' | 'webgpu' | 'webgl' | 'cpu';
