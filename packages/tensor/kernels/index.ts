/** Exports of the module. Pointers are byte addresses; lengths count float32 values. */
export { checksumEnd, checksumTake, nonZeroBlocks } from './codec';
export { convolution } from './convolution';
export { crossEntropy } from './cross-entropy';
export { execute } from './execute';
export { gather, scatterAdd } from './gather';
export { map, mapExp, mapLog, mapTanh, mapSigmoid, mapSoftplus, mapNormalCdf, mapPow } from './map';
export { matmul } from './matmul';
export { pool, unpool } from './pool';
export { random } from './random';
export { argmax, largest as max, smallest as min, sum } from './reduce';
export { bytesToFloats, largestMagnitude, rowsToFloats } from './convert';
export { setWorkspace, workspace, workspaceBytes } from './sizes';
