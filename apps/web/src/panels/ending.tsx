/** The outcome of a finished run: the quality of its model, who computed it, and files to save. */
import { errorMessage } from '@lockstep/data/shown';
import type { RunMessage, WatchMessageOf } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { download } from '../look/controls.tsx';
import { decimals, isLossFinite, measured, percent, perplexityText, plural, thousands } from '../look/format.ts';
import type { WatchedEpoch } from '../watch/curves.ts';
import { contributionOf, isText, type PageContribution, type RunStore } from '../watch/run-store.ts';
import { sampleUnitOf } from '../watch/run-texts.ts';
import { saveCurvesCsv, saveCurvesPng } from './curves.tsx';

interface EndingProps {
  readonly store: RunStore;
  readonly result: WatchMessageOf<'result'>;
  /** Ids of the workers that this tab has been; undefined if the run is the tab's own. */
  readonly ownIds: ReadonlySet<string> | undefined;
  readonly requestWeights: () => void;
}

export function EndingPanel(props: EndingProps) {
  const { store, result, ownIds } = props;
  const run = store.run.value;
  const epochs = store.epochs.value;
  const kept = store.progress.value?.kept;
  const modelEpoch = epochs.findLast(({ epoch }) => epoch === kept?.epoch) ?? epochs.at(-1);
  return (
    <div class="stack">
      {run && modelEpoch && store.status.value.name !== 'failed' && <Quality run={run} epoch={modelEpoch} />}
      {kept && <p>{kept.text}.</p>}
      {ownIds && <p>{contributionText(contributionOf(result.report, ownIds), run)}</p>}
      <Files {...props} />
    </div>
  );
}

function Quality({ run, epoch }: { readonly run: RunMessage; readonly epoch: WatchedEpoch }) {
  const { testLoss, testAccuracy, testRmse, testR2 } = epoch;
  if (!isLossFinite(testLoss)) {
    return <p>Training diverged: the test loss is not finite. Try a smaller learning rate.</p>;
  }
  if (isText(run)) return <p class="ending-quality">Validation perplexity {perplexityText(testLoss)}</p>;
  const explained = testR2 === null ? '' : `, R² ${decimals(testR2)}`;
  return (
    <p class="ending-quality">
      {testAccuracy === null
        ? `Test RMSE ${measured(testRmse ?? 0)}${explained}`
        : `Test accuracy ${percent(testAccuracy)}`}{' '}
      <small>
        ({thousands(run.testSamples)} {sampleUnitOf(run).name})
      </small>
    </p>
  );
}

function contributionText({ ownSamples, allSamples, workers }: PageContribution, run: RunMessage | undefined): string {
  const { name, perSample } = sampleUnitOf(run);
  const all = `${thousands(allSamples * perSample)} ${name}`;
  if (ownSamples === 0) return `Computed by ${plural(workers, 'worker')}: ${all} in total.`;
  const share = percent(ownSamples / allSamples);
  return `This tab computed ${thousands(ownSamples * perSample)} of ${all} (${share}); ${plural(workers, 'worker')} took part.`;
}

function Files({ store, result, requestWeights }: EndingProps) {
  const weights = store.weights.value;
  const isFinal = weights?.step === result.step;
  const isAsked = useSignal(false);
  const failure = useSignal('');
  useEffect(() => {
    if (!isAsked.value || !isFinal) return;
    isAsked.value = false;
    import('../watch/run-model.ts')
      .then(({ finalModel }) =>
        download('model.safetensors', finalModel(store.run.value?.model, weights.bytes, result)),
      )
      .catch((error: unknown) => {
        failure.value = `The model cannot be written: ${errorMessage(error)}.`;
      });
  }, [isAsked.value, isFinal]);
  const askForModel = (): void => {
    isAsked.value = true;
    if (!isFinal) requestWeights();
  };
  const saveReport = (): void => {
    // The bytes of a message are never in shared memory.
    const json = result.report as Uint8Array<ArrayBuffer>;
    download('lockstep-report.json', new Blob([json], { type: 'application/json' }));
  };
  const canHaveModel = isFinal || store.connection.value.phase === 'live';
  return (
    <div class="row" role="toolbar" aria-label="Downloads">
      <button type="button" disabled={!canHaveModel} onClick={askForModel}>
        Model
      </button>
      <button type="button" onClick={saveReport}>
        Report
      </button>
      <button type="button" onClick={() => saveCurvesCsv(store)}>
        Curves as CSV
      </button>
      <button type="button" onClick={() => void saveCurvesPng()}>
        Curves as PNG
      </button>
      {failure.value !== '' && (
        <p class="rejection" role="alert">
          {failure.value}
        </p>
      )}
    </div>
  );
}
