/** Trains in the visitor's own tab, without a server: the page's own views over a run in a thread of this page. */
import '@lockstep/web/base.css';
import '@lockstep/web/page/run.css';
import './train.css';
import { chapterInAddress, partInAddress } from '@lockstep/web/page/address.ts';
import { Predictor } from '@lockstep/web/page/draw/predictor.ts';
import type { InsideProps } from '@lockstep/web/page/inside/inside.tsx';
import { Card, Choice, CopyButton } from '@lockstep/web/page/look/controls.tsx';
import { type Loaded, Loading, loaded } from '@lockstep/web/page/look/lazy.tsx';
import { CurvesCard } from '@lockstep/web/page/panels/curves.tsx';
import { Draw } from '@lockstep/web/page/panels/draw.tsx';
import { EndingPanel } from '@lockstep/web/page/panels/ending.tsx';
import { Top } from '@lockstep/web/page/panels/header.tsx';
import { Overview } from '@lockstep/web/page/panels/overview.tsx';
import { RunStore } from '@lockstep/web/page/watch/run-store.ts';
import { signal, useSignal } from '@preact/signals';
import { render } from 'preact';
import { LocalRun } from './local-run.ts';

const store = new RunStore();
const run = new LocalRun(store);
const requestWeights = (): void => run.requestWeights();
const predictor = new Predictor(store, requestWeights);

const lesson: Loaded<{ readonly chapterId: string }> = signal();
const inside: Loaded<InsideProps> = signal();

function Views() {
  const [chapterId, part] = [chapterInAddress.value, partInAddress.value];
  if (chapterId !== undefined) {
    const View = loaded(lesson, () => import('@lockstep/web/page/learn/lesson.tsx').then(({ Lesson }) => Lesson));
    return View ? <View chapterId={chapterId} /> : <Loading name="The lesson" failure={lesson.value?.failure} />;
  }
  // Without a run there is no network to look into.
  if (part !== undefined && store.run.value) {
    const View = loaded(inside, () => import('@lockstep/web/page/inside/inside.tsx').then(({ Inside }) => Inside));
    return View ? (
      <View {...{ store, predictor, part, requestWeights }} />
    ) : (
      <Loading name="The network" failure={inside.value?.failure} />
    );
  }
  return <TrainView />;
}

function TrainView() {
  const result = store.isOver.value ? store.result.value : undefined;
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
          <Card name="join" title="The run">
            <StartForm />
            {result && <EndingPanel {...{ store, result, requestWeights }} ownIds={workersOf(result.report)} />}
          </Card>
          <CurvesCard store={store} />
          <Draw predictor={predictor} run={store.run.value} />
        </div>
      </main>
    </>
  );
}

/** The ids of all workers in a report, each of which is this tab. */
function workersOf(report: Uint8Array): ReadonlySet<string> {
  const { workers } = JSON.parse(new TextDecoder().decode(report)) as { readonly workers: { readonly id: string }[] };
  return new Set(workers.map(({ id }) => id));
}

const models = ['mlp', 'cnn', 'cnn-large'];

/** Size of MNIST as packed. */
const digitsMegabytes = 11.5;

function StartForm() {
  const file = useSignal<File | undefined>(undefined);
  const model = useSignal('mlp');
  /** Undefined for as many as the data need. */
  const epochs = useSignal<number | undefined>(undefined);
  const isOver = useSignal(false);
  const { phase, fault } = run;
  const take = (files: FileList | null | undefined): void => {
    if (files?.[0]) file.value = files[0];
  };
  const start = (): void => run.start({ file: file.value, model: model.value, epochs: epochs.value });
  return (
    // The drop target has an equivalent button.
    <section
      aria-label="Start a run"
      class={`drop-zone ${isOver.value ? 'drop-over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => (isOver.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        isOver.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      <p>
        {file.value
          ? `Data: ${file.value.name}`
          : `Data: MNIST, 70,000 handwritten digits (${digitsMegabytes} MB, fetched once). Or drop a CSV file here.`}
      </p>
      <label>
        CSV or TSV file
        <input type="file" accept=".csv,.tsv,text/csv" onChange={({ currentTarget }) => take(currentTarget.files)} />
      </label>
      <Choice
        label="Model"
        value={model.value}
        options={models.map((name) => [name, name])}
        onChoose={(name) => (model.value = name)}
      />
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
      <p class="control-buttons">
        {phase.value === 'idle' ? (
          <button type="button" class="primary next-action" onClick={start}>
            Train
          </button>
        ) : (
          <button type="button" class="danger next-action" onClick={() => run.stop()}>
            Stop
          </button>
        )}
        {file.value && (
          <button type="button" onClick={() => (file.value = undefined)}>
            MNIST instead
          </button>
        )}
      </p>
      <p class="aside" role="status">
        {phase.value === 'preparing' ? preparingText(file.value) : run.found.value}
      </p>
      <p class="error" role="alert">
        {fault.value}
      </p>
    </section>
  );
}

function preparingText(file: File | undefined): string {
  if (file) return `Reading ${file.name} …`;
  return `Digits: ${(run.loadedBytes.value / 1e6).toFixed(1)} of ${digitsMegabytes} MB …`;
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
        <dl class="commands">
          {commands.map(([place, command]) => (
            <div key={command}>
              <dt>{place}</dt>
              <dd>
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

void navigator.serviceWorker?.register('../service-worker.js');
render(<Views />, document.getElementById('page')!);
