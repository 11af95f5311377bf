/** TensorFlow.js in Node, on one thread of one of its Node backends. */
import { fileURLToPath } from 'node:url';
import { loadTensorFlow as loadNativePart, prepareProcess } from '@lockstep/tfjs-node';
import type { Absent } from '../../harness/candidate.ts';
import type { TensorFlow } from './nets.ts';

/** `node` is TensorFlow's C library, through @tensorflow/tfjs-node. */
export type TensorFlowBackend = 'wasm' | 'cpu' | 'node';

export interface Loaded {
  readonly tf: TensorFlow;
  /** TensorFlow.js's name of the backend. */
  readonly registered: string;
  readonly version: string;
  /** Engine and threads, for the notes of a candidate. */
  readonly description: string;
}

/** Loads and activates a backend. Only one is active at a time, so each candidate activates its own in its `reset`. */
export async function loadTensorFlow(backend: TensorFlowBackend): Promise<Loaded | Absent> {
  const tf = await import('@tensorflow/tfjs-core');
  // The core's Node build registers no gradients; the layers' build registers the gradients of the core.
  await import('@tensorflow/tfjs-layers');
  // Turns off debug checks and the advice to install another package.
  tf.enableProdMode();
  const activate = async (registered: string, version: string, describe: () => Promise<string>) => {
    await tf.setBackend(registered);
    await tf.ready();
    return { tf, registered, version, description: await describe() };
  };
  switch (backend) {
    case 'wasm': {
      const { setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
      if (tf.findBackend('wasm') === null) {
        setWasmPaths(fileURLToPath(new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm'))));
        setThreadsCount(1);
      }
      return activate('wasm', tf.version_core, () => describeWasm(tf));
    }
    case 'cpu':
      await import('@tensorflow/tfjs-backend-cpu');
      return activate('cpu', tf.version_core, async () => 'tfjs-backend-cpu, plain JavaScript, 1 thread');
    case 'node': {
      // Both copies of TensorFlow.js share one engine: the core above finds what this copy registers.
      prepareProcess();
      const loaded = await loadNativePart().catch((error: Error) => ({ absent: error.message }));
      if ('absent' in loaded) return loaded;
      const { tf: node, version } = loaded;
      const threads = process.env['TF_NUM_INTRAOP_THREADS'];
      const description = `the C library of TensorFlow ${version}, ${threads} thread${threads === '1' ? '' : 's'}`;
      return activate('tensorflow', node.version['tfjs-node'], async () => description);
    }
    default:
      return backend satisfies never;
  }
}

async function describeWasm(tf: TensorFlow): Promise<string> {
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  const threads = await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT');
  return `tfjs-backend-wasm${threads ? '-threaded' : ''}${simd ? '-simd' : ''}.wasm, 1 thread`;
}
