/** What a tab can compute on, in words for people. */
import type { TabBackend } from './open.ts';

/** What a person can choose. */
export const tabBackends = [
  { value: 'auto', label: 'Whatever is fastest here' },
  { value: 'webgpu', label: 'GPU, by WebGPU' },
  { value: 'webgl', label: 'GPU, by WebGL' },
  { value: 'cpu', label: 'CPU' },
] as const satisfies readonly { readonly value: TabBackend; readonly label: string }[];

/** How a backend is called in a table. */
export function backendName(name: string): string {
  switch (name) {
    case 'cpu':
      return 'CPU';
    case 'reference':
      return 'CPU (plain)';
    case 'gpu':
      return 'GPU';
    case 'webgpu':
      return 'WebGPU';
    case 'webgl':
      return 'WebGL';
    default:
      return name;
  }
}

/** How a backend is called in a sentence: "computing on …". */
export function backendTitle(name: string): string {
  switch (name) {
    case 'cpu':
      return 'the CPU (WebAssembly SIMD)';
    case 'reference':
      return 'the CPU (plain JavaScript)';
    default:
      return backendName(name);
  }
}

/** Why this page cannot use the GPU as it could, whatever the backends say; undefined where nothing stands in the way. */
export function secureContextHint(): string | undefined {
  if (isSecureContext) return undefined;
  return 'WebGPU exists only over https or on localhost: start the coordinator with --tls to offer it here';
}

const nameKey = 'lockstep.name';

/** What this tab is called: as its person chose before, else after browser and system. */
export function preferredName(): string {
  return localStorage.getItem(nameKey) ?? defaultName();
}

/** Remembers a name for the next time; an empty one is none. */
export function chooseName(text: string): string {
  const name = text.trim();
  if (name === '') {
    localStorage.removeItem(nameKey);
    return defaultName();
  }
  localStorage.setItem(nameKey, name);
  return name;
}

/** `Chrome on Android`, for the room to tell tabs apart. */
function defaultName(): string {
  const { userAgent } = navigator;
  const find = (table: readonly (readonly [RegExp, string])[], otherwise: string): string =>
    table.find(([pattern]) => pattern.test(userAgent))?.[1] ?? otherwise;
  const browser = find(
    [
      [/Edg\//, 'Edge'],
      [/Firefox\//, 'Firefox'],
      [/Chrome\//, 'Chrome'],
      [/Safari\//, 'Safari'],
    ],
    'Browser',
  );
  const system = find(
    [
      [/Android/, 'Android'],
      [/iPhone/, 'iPhone'],
      [/iPad/, 'iPad'],
      [/Windows/, 'Windows'],
      [/CrOS/, 'ChromeOS'],
      [/Mac OS X/, 'Mac'],
      [/Linux/, 'Linux'],
    ],
    '',
  );
  return system === '' ? browser : `${browser} on ${system}`;
}
