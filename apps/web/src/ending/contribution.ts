/** Who computed how much of a run, according to its report. */

interface WorkerPart {
  readonly id: string;
  readonly samples: number;
}

export interface Contribution {
  /** Samples that this page's workers computed; a shard that two workers computed counts for both. */
  readonly ownSamples: number;
  readonly allSamples: number;
  /** Number of workers that computed at least one sample. */
  readonly workers: number;
}

/**
 * @param report UTF-8 JSON, as `--report` writes it
 * @param ownIds ids of the workers that this page has been
 */
export function contributionOf(report: Uint8Array, ownIds: ReadonlySet<string>): Contribution {
  const { workers } = JSON.parse(new TextDecoder().decode(report)) as { readonly workers: readonly WorkerPart[] };
  const sum = (parts: readonly WorkerPart[]): number => parts.reduce((total, { samples }) => total + samples, 0);
  return {
    ownSamples: sum(workers.filter(({ id }) => ownIds.has(id))),
    allSamples: sum(workers),
    workers: workers.filter(({ samples }) => samples > 0).length,
  };
}
