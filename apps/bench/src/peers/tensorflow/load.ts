/** TensorFlow.js in Node, on one thread of one of its backends there. */
import { fileURLToPath } from 'node:url';
import type { TensorFlow } from './nets.ts';

export type TensorFlowBackend = 'wasm' | 'cpu';

/** Loads the backend and takes it; each contender takes its own again before it computes, since there is one at a time. */
export async function loadTensorFlow(backend: TensorFlowBackend): Promise<TensorFlow> {
  const tf = await import('@tensorflow/tfjs-core');
  // The core's Node build registers no gradients; the layers' build registers those of the core.
  await import('@tensorflow/tfjs-layers');
  // Without its checks, and without its advice to install another package.
  tf.enableProdMode();
  switch (backend) {
    case 'wasm': {
      const { setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
      if (tf.findBackend('wasm') === null) {
        setWasmPaths(fileURLToPath(new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm'))));
        setThreadsCount(1);
      }
      break;
    }
    case 'cpu':
      await import('@tensorflow/tfjs-backend-cpu');
      break;
    default:
      backend satisfies never;
  }
  await tf.setBackend(backend);
  await tf.ready();
  return tf;
}

/** What a reader must know of the backend. */
export async function describeBackend(tf: TensorFlow, backend: TensorFlowBackend): Promise<string> {
  if (backend === 'cpu') return 'tfjs-backend-cpu, plain JavaScript, 1 thread';
  const simd = await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT');
  const threads = await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT');
  return `tfjs-backend-wasm${threads ? '-threaded' : ''}${simd ? '-simd' : ''}.wasm, 1 thread`;
}
