/** A tab's worker: its state as the page sees it, and the threads and GPU that the tab has. */
import type { DataFormat, InnerSteps } from '@lockstep/rules';
import { isSoftwareAdapter, type ThreadMessage, type ThreadOptions } from '@lockstep/tensor';

/** Choices of what a tab computes on. */
export type TabBackend = 'auto' | 'webgpu' | 'webgl' | 'cpu';

/** State of a tab's worker: not requested yet, at work, or ended. */
export type TabState = { readonly phase: 'watching' } | ActiveState | EndedState;

/** A worker that opens its backend, joins, computes or reconnects, with its totals so far. */
export interface ActiveState {
  /** Opening a backend; in handshake and numerics check; computing shards; waiting for the next attempt to connect. */
  readonly phase: 'opening' | 'joining' | 'computing' | 'reconnecting';
  readonly id?: string;
  /** Identifies the worker on a new connection. */
  readonly resumeKey: string | undefined;
  readonly backend?: string;
  /** Compute threads; known with the backend. */
  readonly threads?: number;
  /** The adapter's name, if the backend knows it. */
  readonly device?: string | undefined;
  /** Why each faster backend was not chosen. */
  readonly reasons: readonly string[];
  /** The last step computed, from 1. */
  readonly step?: number;
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
  readonly retryReason?: string;
}

/** A worker that has ended, and why. */
export interface EndedState {
  readonly phase: 'ended';
  readonly end: 'finished' | 'left' | 'refused' | 'failed' | 'unreachable';
  readonly message: string;
  /** Whether the coordinator refused the token or code of the tab. */
  readonly isTokenWrong?: boolean;
}

/** A typical shard of this run, used to choose the fastest backend. */
export interface Workload {
  readonly model: unknown;
  readonly microbatchSize: number;
  readonly innerSteps?: InnerSteps | undefined;
  readonly format: DataFormat;
  readonly samples: number;
}

export interface JoinRequest {
  readonly type: 'join';
  readonly url: string;
  readonly name: string;
  readonly backend: TabBackend;
  /** Compute threads, if the CPU computes. */
  readonly threads: number;
  /** Absent if the run is not known yet. */
  readonly workload: Workload | undefined;
  readonly token: string | undefined;
  /** Whether to wait for another server after the current one has ended. */
  readonly outlivesServer?: boolean;
  /** Key from before a reload. */
  readonly resumeKey?: string | undefined;
}

export type PageMessage =
  | JoinRequest
  /** Whether the page is hidden; sent once before `join`, and at every change. */
  | { readonly type: 'hidden'; readonly hidden: boolean }
  | { readonly type: 'leave' };

/** The state of a worker that has done nothing yet. */
export function openingState(resumeKey: string | undefined): ActiveState {
  return { phase: 'opening', resumeKey, reasons: [], shards: 0, samples: 0, computeMs: 0 };
}

/** Explains why this page has no shared memory and so only one thread; undefined if it has. */
export function oneThreadReason(): string | undefined {
  if (crossOriginIsolated) return undefined;
  return isSecureContext
    ? 'one thread, because this page is not cross-origin isolated: open it in its own tab'
    : 'one thread, because threads require https or localhost: start the coordinator with --tls';
}

/** Most threads that a person can choose. */
export function mostThreads(): number {
  return oneThreadReason() === undefined ? Math.max(1, navigator.hardwareConcurrency) : 1;
}

/** Default number of threads: all cores but one, which stays free for the page and other programs. */
export function usualThreads(): number {
  return Math.max(1, mostThreads() - 1);
}

/**
 * Compute threads of a page, for `openBackend`.
 * @param count total number of threads, including the calling one
 */
export function tabThreads(count: number): ThreadOptions {
  return {
    count,
    start(setup, { onMessage, onEnd }) {
      const thread = new Worker(new URL('./kernel-thread.js', import.meta.url), { type: 'module', name: 'compute' });
      thread.addEventListener('message', ({ data }: MessageEvent<ThreadMessage>) => onMessage(data));
      thread.addEventListener('error', ({ message }) => onEnd(message || 'its script did not load'));
      thread.postMessage(setup);
      return { end: async () => thread.terminate() };
    },
  };
}

interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly description?: string;
}

/** A page's access to GPUs. */
export interface GpuScope {
  /** WebGPU; absent outside a secure context. */
  readonly gpu?: { requestAdapter(): Promise<{ readonly info?: AdapterInfo } | null> } | undefined;
  /** The renderer's name from WebGL 2; undefined without a context. */
  readonly webGlRenderer: () => string | undefined;
}

/**
 * Tests whether the page has a GPU that is not a software renderer.
 * @returns undefined if it has, else a phrase that says why not
 */
export async function missingGpu(scope: GpuScope = thisPage()): Promise<string | undefined> {
  const names: string[] = [];
  try {
    const adapter = await scope.gpu?.requestAdapter();
    // An adapter without a name counts as a GPU: some browsers hide names.
    if (adapter) names.push(nameOf(adapter.info ?? {}));
  } catch {
    // WebGL may be available without WebGPU.
  }
  if (names.some((name) => !isSoftwareAdapter(name))) return undefined;
  const renderer = scope.webGlRenderer();
  if (renderer !== undefined) names.push(renderer);
  if (names.some((name) => !isSoftwareAdapter(name))) return undefined;
  const [software] = names;
  return software === undefined
    ? 'this browser offers no GPU'
    : `this browser's GPU is a software renderer (${software})`;
}

function nameOf({ vendor, architecture, description }: AdapterInfo): string {
  return [vendor, architecture, description].filter(Boolean).join(' ');
}

function thisPage(): GpuScope {
  const { gpu } = navigator as { readonly gpu?: GpuScope['gpu'] };
  return { gpu, webGlRenderer };
}

function webGlRenderer(): string | undefined {
  const context = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!context) return undefined;
  const named = context.getExtension('WEBGL_debug_renderer_info');
  const name = String(context.getParameter(named?.UNMASKED_RENDERER_WEBGL ?? context.RENDERER));
  // Browsers keep few contexts alive, and the computing one is created later.
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return name;
}
