/** What has been contributed: the shards of each worker whose results were added, and how those were rounded. */
import { type Draft, updateRecord } from './draft.ts';
import type { Contribution } from './state.ts';

/** Stands for the coordinator's own backend, whose numeric mode says all. */
const ownBackend = 'coordinator';

/** A worker's result was added. */
export function recordContribution(draft: Draft, workerId: string, samples: number, computeMs: number): void {
  const record = draft.records.get(workerId);
  if (!record) return;
  const { numericMode, numericsHash, backend } = record;
  if (numericsHash !== undefined) addContribution(draft, { numericMode, numericsHash, backend });
  updateRecord(draft, workerId, {
    shards: record.shards + 1,
    samples: record.samples + samples,
    computeMs: record.computeMs + computeMs,
  });
}

/** A result that the coordinator itself computed was added. */
export function recordOwnContribution(draft: Draft): void {
  const { refereeMode, refereeHash } = draft.setup;
  if (refereeMode === undefined || refereeHash === undefined) return;
  addContribution(draft, { numericMode: refereeMode, numericsHash: refereeHash, backend: ownBackend });
}

function addContribution(draft: Draft, { numericMode, numericsHash, backend }: Contribution): void {
  const isKnown = draft.contributed.some(
    (known) => known.numericMode === numericMode && known.numericsHash === numericsHash,
  );
  if (!isKnown) draft.contributed = [...draft.contributed, { numericMode, numericsHash, backend }];
}
