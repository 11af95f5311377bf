/** Checkpoints on the disk, and hashes by Node. */
export {
  type Checkpointer,
  CheckpointFolder,
  createFolder,
  keptSecret,
  type OpenedCheckpoints,
  openCheckpoints,
  requireCheckpointFolder,
} from './checkpoints.ts';
export { newSha256, sha256 } from './sha256.ts';
