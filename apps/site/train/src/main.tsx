/** Trains in the visitor's own tab, without a server: the page's own views over a run in a thread of this page. */
import '@lockstep/web/base.css';
import '@lockstep/web/page/run.css';
import './train.css';
import { chapterInAddress, partInAddress } from '@lockstep/web/page/address.ts';
import { Predictor } from '@lockstep/web/page/draw/predictor.ts';
import { Card, Choice, CopyButton, FileInput } from '@lockstep/web/page/look/controls.tsx';
import { Inside, Lesson } from '@lockstep/web/page/look/lazy.tsx';
import { theme } from '@lockstep/web/page/look/theme.ts';
import { CurvesCard } from '@lockstep/web/page/panels/curves.tsx';
import { DataPreview, DropZone } from '@lockstep/web/page/panels/data.tsx';
import { Draw } from '@lockstep/web/page/panels/draw.tsx';
import { EndingPanel } from '@lockstep/web/page/panels/ending.tsx';
import { EvaluationCards, MetricsView } from '@lockstep/web/page/panels/evaluation.tsx';
import { Top } from '@lockstep/web/page/panels/header.tsx';
import { Overview } from '@lockstep/web/page/panels/overview.tsx';
import { RunStore } from '@lockstep/web/page/watch/run-store.ts';
import { effect, useSignal } from '@preact/signals';
import { render } from 'preact';
import { workOffline } from '../../work-offline.ts';
import { LocalRun } from './local-run.ts';

const store = new RunStore();
const run = new LocalRun(store);
const requestWeights = (): void => run.requestWeights();
const predictor = new Predictor(store, requestWeights);

function Views() {
  const [chapterId, part] = [chapterInAddress.value, partInAddress.value];
  if (chapterId !== undefined) return <Lesson {...{ chapterId, store }} />;
  // Without a run there is no network to look into.
  if (part !== undefined && store.run.value) return <Inside {...{ store, predictor, part, requestWeights }} />;
  return <TrainView />;
}

function TrainView() {
  const result = store.isOver.value ? store.result.value : undefined;
  const { metrics } = store.report.value ?? {};
  return (
    <>
      <Top
        title="Train it here"
        subtitle="A neural network trains in this tab, without a server. Nothing leaves your device."
        here="#main"
        content="the run"
      >
        <a class="button" href="#learn">
          Learn
        </a>
        <a class="button" href="#inside">
          Inside
        </a>
        <Invitation />
      </Top>
      <main id="main" tabIndex={-1}>
        {store.run.value && <Overview store={store} />}
        <div class="panels train-panels">
          <Card name="join" title="Your run">
            <StartForm />
            {result && <EndingPanel {...{ store, result, requestWeights }} ownIds={undefined} />}
          </Card>
          <CurvesCard store={store} />
          <Draw predictor={predictor} run={store.run.value} />
          {store.run.value && <EvaluationCards store={store} run={store.run.value} />}
          {metrics && <MetricsView metrics={metrics} />}
        </div>
      </main>
    </>
  );
}

const models = ['mlp', 'cnn', 'cnn-large'];

/** Size of MNIST as packed. */
const digitsMegabytes = 11.5;

function StartForm() {
  const model = useSignal('mlp');
  /** Undefined for as many as the data need. */
  const epochs = useSignal<number | undefined>(undefined);
  const { phase, fault, table, read } = run;
  const { fault: readFault, table: rows } = read.value ?? {};
  const isIdle = phase.value === 'idle';
  return (
    <>
      <DataChooser />
      <p class="error" role="alert">
        {readFault ?? fault.value}
      </p>
      <p role="status">{statusText()}</p>
      {rows && table.value && (
        <DataPreview
          setup={{ table: { ...rows, ...table.value }, phase: isIdle ? 'ready' : 'starting' }}
          onRead={(request) => run.choose(table.value?.file, request)}
        />
      )}
      <div class="stack reading-form">
        <Choice label="Model" value={model.value} options={models} onChoose={(name) => (model.value = name)} />
        <label>
          Epochs
          <input
            type="number"
            min={1}
            max={1000}
            placeholder="auto"
            value={epochs.value === undefined ? '' : `${epochs.value}`}
            onInput={({ currentTarget: { valueAsNumber } }) => {
              epochs.value = valueAsNumber >= 1 ? Math.round(valueAsNumber) : undefined;
            }}
          />
        </label>
      </div>
      {isIdle ? (
        <button
          type="button"
          class="primary data-start"
          disabled={readFault !== undefined}
          onClick={() => run.start({ model: model.value, epochs: epochs.value })}
        >
          Train
        </button>
      ) : (
        <button type="button" class="danger data-start" onClick={() => run.stop()}>
          Stop
        </button>
      )}
    </>
  );
}

function DataChooser() {
  const file = run.table.value?.file;
  const take = ([chosen]: readonly File[]): void => {
    if (chosen) run.choose(chosen);
  };
  return (
    <DropZone label="Choose the data" onDrop={({ files }) => take([...files])}>
      <p>
        {file
          ? `Data: ${file.name}`
          : `Data: MNIST, 70,000 handwritten digits (${digitsMegabytes} MB, fetched once). Or drop a CSV file here.`}
      </p>
      <FileInput label="CSV or TSV file" accept=".csv,.tsv,text/csv" onChoose={take} />
      {file && (
        <button type="button" onClick={() => run.choose(undefined)}>
          MNIST instead
        </button>
      )}
    </DropZone>
  );
}

function statusText(): string {
  const { phase, table, read, loadedBytes } = run;
  if (read.value) return read.value.found ?? '';
  if (table.value) return `Reading ${table.value.file.name} …`;
  if (phase.value !== 'preparing') return '';
  return `Digits: ${(loadedBytes.value / 1e6).toFixed(1)} of ${digitsMegabytes} MB …`;
}

const commands = [
  ['On this computer, in a clone of Lockstep', 'npm run coordinator -- --host 0.0.0.0'],
  ['On the others, with the address that it prints', 'npm run worker -- --url ws://ADDRESS:7070'],
] as const;

/** The commands of a run that others can join: a page cannot be connected to. */
function Invitation() {
  return (
    <>
      <button type="button" popovertarget="invitation">
        With others
      </button>
      <div id="invitation" popover="auto" class="bubble" role="dialog" aria-label="Train with others">
        <p>This tab trains alone. A run that others can join starts in a terminal:</p>
        <dl class="stack commands">
          {commands.map(([place, command]) => (
            <div key={command}>
              <dt>{place}</dt>
              <dd class="row">
                <code>{command}</code>
                <CopyButton text={command} label="Copy" />
              </dd>
            </div>
          ))}
        </dl>
        <p>
          Browsers join as well, at the address that it prints. <a href="../docs/classroom.html">Train with a class</a>
        </p>
      </div>
    </>
  );
}

/** VitePress's key for the chosen color scheme. */
const appearanceKey = 'vitepress-theme-appearance';

function takeAppearance(): void {
  const stored = localStorage.getItem(appearanceKey);
  theme.value = stored === 'light' || stored === 'dark' ? stored : 'system';
}

takeAppearance();
effect(() => localStorage.setItem(appearanceKey, theme.value === 'system' ? 'auto' : theme.value));
// A guide may have changed it, in another tab or before the person came back to this page.
addEventListener('storage', takeAppearance);
addEventListener('pageshow', takeAppearance);

void workOffline('../service-worker.js');
render(<Views />, document.getElementById('page')!);
