/** Gradients by TensorFlow's C library, if @tensorflow/tfjs-node and its native part are installed. */
export { createTensorFlowCompute } from './compute.ts';
export { type LoadedTensorFlow, loadTensorFlow, prepareProcess } from './load.ts';
