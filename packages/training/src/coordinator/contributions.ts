/** What a worker has contributed: the shards whose results were added, and the numeric modes behind the weights. */
import { type Draft, updateRecord } from './draft.ts';

export function recordContribution(draft: Draft, workerId: string, samples: number, computeMs: number): void {
  const record = draft.records.get(workerId);
  if (!record) return;
  recordNumerics(draft, record.numericsHash);
  updateRecord(draft, workerId, {
    shards: record.shards + 1,
    samples: record.samples + samples,
    computeMs: record.computeMs + computeMs,
  });
}

/** One more numerics hash whose bits are in the weights. */
export function recordNumerics(draft: Draft, numericsHash: string | undefined): void {
  if (numericsHash === undefined || draft.contributed.has(numericsHash)) return;
  draft.contributed = new Set([...draft.contributed, numericsHash]);
}
