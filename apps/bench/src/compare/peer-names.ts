/** Peers that a result looks up by name. */

export const pytorchName = 'PyTorch, 1 process';
/** Processes that DDP trains with. */
export const ddpRanks = 2;
export const ddpName = `PyTorch DDP, ${ddpRanks} processes`;
