/** Schedules a shard on threads: which samples each thread computes at once, and which sums it adds afterwards. */
import { nextPowerOfTwo, type Shard, shardsOfRange } from '@lockstep/rules';
import { TreeReduction } from './tree-reduction.ts';

/** Samples that one thread computes at once: a tree node, or its nonempty part. */
export interface Piece {
  /** Samples `[from, to)` of the shard. */
  readonly from: number;
  readonly to: number;
  /** Index of the thread's vector that receives the sum. */
  readonly vector: number;
  /** Number of additions afterwards. Each adds the sum to the previous vector, one level up the tree. */
  readonly additions: number;
  /** Whether the vector that the additions end in then holds a complete term of the whole sum. */
  readonly endsTerm: boolean;
}

/** A vector, by its thread and its index within the thread. */
export interface VectorPlace {
  readonly thread: number;
  readonly vector: number;
}

/** The whole sum: terms in the threads' vectors, in the tree's order. */
export type PlacedSum = VectorPlace | { readonly left: PlacedSum; readonly right: PlacedSum };

export interface ShardSchedule {
  /** Pieces by turn and thread; undefined for a thread that is idle in a turn. */
  readonly turns: readonly (readonly (Piece | undefined)[])[];
  readonly sum: PlacedSum;
}

export interface ScheduleOptions {
  readonly samples: number;
  readonly microbatchSize: number;
  readonly threads: number;
  /** Most microbatches in a piece, a power of two. */
  readonly pieceMicrobatches: number;
}

/**
 * Gives each thread a contiguous share of the microbatches, in as few tree nodes as possible, computed from left to
 * right. A thread adds what it can by itself; the rest is left to the pass over the sum, in which all threads take
 * part.
 */
export function scheduleShard(options: ScheduleOptions): ShardSchedule {
  const { samples, microbatchSize, threads, pieceMicrobatches } = options;
  const usedMicrobatches = Math.ceil(samples / microbatchSize);
  const root = { lo: 0, n: nextPowerOfTwo(usedMicrobatches) };
  const reduction = new TreeReduction<PlacedSum>({
    root,
    usedMicrobatches,
    combine: (left, right) => ({ left, right }),
  });
  let sum: PlacedSum | undefined;
  const ofThreads = Array.from({ length: threads }, (_, thread) => {
    const nodes = nodesOf(root, usedMicrobatches, thread, threads, pieceMicrobatches);
    return nodes.flatMap((node, vector) => {
      sum = reduction.add(node, { thread, vector }) ?? sum;
      return piecesOf(node, vector, options);
    });
  });
  const turns = Math.max(...ofThreads.map(({ length }) => length));
  return {
    turns: Array.from({ length: turns }, (_, turn) => ofThreads.map((pieces) => pieces[turn])),
    sum: sum ?? { thread: 0, vector: 0 },
  };
}

/** Returns the nodes of a thread's share. The last share includes the empty microbatches, for fewer nodes and terms. */
function nodesOf(root: Shard, used: number, thread: number, threads: number, pieceMicrobatches: number): Shard[] {
  const from = Math.round((used * thread) / threads);
  const to = Math.round((used * (thread + 1)) / threads);
  const nodes = shardsOfRange(from, to === used && to > from ? root.n : to).filter(({ lo }) => lo < used);
  const [first] = nodes;
  if (first?.n !== root.n || root.n <= pieceMicrobatches) return nodes;
  // The last addition is left to the pass over the sum.
  return [
    { lo: 0, n: root.n / 2 },
    { lo: root.n / 2, n: root.n / 2 },
  ];
}

/** Cuts a node into pieces; each is added to the pieces before it as far up the tree as possible. */
function piecesOf(node: Shard, vector: number, options: ScheduleOptions): Piece[] {
  const { samples, microbatchSize } = options;
  const usedMicrobatches = Math.ceil(samples / microbatchSize);
  let additions = 0;
  const combine = (): number => {
    additions += 1;
    return additions;
  };
  const reduction = new TreeReduction<number>({ root: node, usedMicrobatches, combine });
  let waiting = 0;
  return pieceNodes(node, options).map((piece) => {
    additions = 0;
    const endsTerm = reduction.add(piece, 0) !== undefined;
    const place = vector + waiting;
    waiting += 1 - additions;
    const [from, to] = [piece.lo, piece.lo + piece.n].map((microbatch) =>
      Math.min(samples, microbatch * microbatchSize),
    );
    return { from: from!, to: to!, vector: place, additions, endsTerm };
  });
}

/** Returns the nodes that are computed at once. A microbatch that is shorter than the others is computed alone. */
function pieceNodes(node: Shard, { samples, microbatchSize, pieceMicrobatches }: ScheduleOptions): Shard[] {
  const whole = Math.floor(samples / microbatchSize);
  const end = Math.min(node.lo + node.n, Math.ceil(samples / microbatchSize));
  const nodes = end > whole ? [...shardsOfRange(node.lo, whole), { lo: whole, n: 1 }] : [node];
  return nodes.flatMap(({ lo, n }) => {
    const step = Math.min(n, pieceMicrobatches);
    const count = Math.ceil((Math.min(lo + n, end) - lo) / step);
    return Array.from({ length: count }, (_, index) => ({ lo: lo + index * step, n: step }));
  });
}
