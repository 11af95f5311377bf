/** Everything the module exports. Pointers are byte addresses; lengths count float32 values. */
export { crossEntropy } from './crossEntropy';
export { map } from './map';
export { matmul } from './matmul';
export { argmax, sum } from './reduce';
export { allFinite, bytesToFloats } from './convert';
export { workspace, workspaceEnd } from './workspace';
