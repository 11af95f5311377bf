/**
 * Exports of the module, and all kernels under their names in `kernelCalls` of src/backends/cpu/programs.ts. Pointers are
 * byte addresses; lengths count float32 values.
 */
export { feedLanes, nonZeroBlocks } from './codec';
export { bytesToFloats, magnitude, rowsToBytes, rowsToFloats } from './convert';
export { convolution } from './convolution';
export { execute } from './generated/programs';
export { map } from './map';
export { matmul } from './product';
export { argmax, largest as max, smallest as min, sum } from './reductions';
export {
  crossEntropy, gather, layerNorm, layerNormGradient, random, scatterAdd, softmax, softmaxGradient,
} from './rows';
export { setWide, setWorkspace, workspace, workspaceBytes } from './shared';
export { pool, unpool } from './pool';
