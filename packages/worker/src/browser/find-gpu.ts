/** Asks a page for a GPU before anything is loaded that would compute on it. */
import { isSoftwareAdapter } from '@lockstep/tensor';

interface AdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly description?: string;
}

/** What a page has of GPUs. */
export interface GpuScope {
  /** WebGPU; absent outside a secure context. */
  readonly gpu?: { requestAdapter(): Promise<{ readonly info?: AdapterInfo } | null> } | undefined;
  /** The renderer's name by WebGL 2; undefined where there is no context. */
  readonly webGlRenderer: () => string | undefined;
}

/**
 * Whether something computes here that is more than a program on the CPU.
 * @returns undefined where it does, else one sentence's part that says why not
 */
export async function missingGpu(scope: GpuScope = thisPage()): Promise<string | undefined> {
  const names: string[] = [];
  try {
    const adapter = await scope.gpu?.requestAdapter();
    // An adapter without a name is believed: some browsers hide names.
    if (adapter) names.push(nameOf(adapter.info ?? {}));
  } catch {
    // WebGL may be there without WebGPU.
  }
  if (names.some((name) => !isSoftwareAdapter(name))) return undefined;
  const renderer = scope.webGlRenderer();
  if (renderer !== undefined) names.push(renderer);
  if (names.some((name) => !isSoftwareAdapter(name))) return undefined;
  const [software] = names;
  return software === undefined
    ? 'the browser offers no GPU'
    : `the browser's GPU is a program on the CPU (${software})`;
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
  // Browsers keep few contexts alive, and the one that computes comes later.
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return name;
}
