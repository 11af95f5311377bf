/** The table of peers: each row of a benchmark's table that does a training step or a product, in order. */
import type { Candidate } from '../harness.ts';
import type { MatrixProduct, Peer, TrainingStep } from '../work.ts';
import jax from './jax.ts';
import lockstep from './lockstep.ts';
import pytorch from './pytorch.ts';
import tensorflow from './tensorflow.ts';

export const peers: readonly Peer[] = [...lockstep, ...tensorflow, ...jax, ...pytorch];

export function stepCandidates(program: 'bench' | 'compare', work: TrainingStep): Candidate[] {
  return peers
    .filter(({ only = program, nets = [work.net.name] }) => only === program && nets.includes(work.net.name))
    .map((peer) => ({ name: peer.name, open: () => peer.openStep(work) }));
}

export function matmulCandidates(work: MatrixProduct): Candidate[] {
  return peers.flatMap(({ name, openMatmul }) => (openMatmul ? [{ name, open: () => openMatmul(work) }] : []));
}
