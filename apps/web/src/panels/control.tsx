/** Controls the run with the admin token: start, pause, resume, stop, save, and run again with other settings. */
import type { AdminAction, ProgressMessage, RunChanges, RunMessage } from '@lockstep/protocol';
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Choice, useKeptFocus } from '../look/controls.tsx';
import { capitalized } from '../look/format.ts';
import { isPicture, modelName, optimizerSettingsOf, type RunStore } from '../watch/run-store.ts';
import { batchAtStart } from '../watch/run-texts.ts';

interface ControlProps {
  readonly store: RunStore;
  readonly onAction: (action: AdminAction) => void;
}

interface ControlPanelProps extends ControlProps {
  readonly onRunAgain: (changes: RunChanges) => void;
}

export function ControlPanel({ store, onAction, onRunAgain }: ControlPanelProps) {
  const run = store.run.value;
  const isLive = store.connection.value.phase === 'live';
  const isOwner = store.isOwner.value;
  const rejection = store.rejection.value && rejectionText(store.rejection.value);
  return (
    <section class={`row control ${isOwner ? '' : 'hidden'}`} aria-labelledby="control-title">
      <h2 id="control-title" class="sr-only">
        Control
      </h2>
      <Buttons store={store} onAction={onAction} />
      {run?.canRunAgain && (
        <RunAgain
          key={JSON.stringify(run.config)}
          run={run}
          isPossible={store.isOver.value && isLive && isOwner}
          rejection={rejection}
          onRunAgain={onRunAgain}
        />
      )}
      <p class="control-note" role="status">
        {noteOf(store)}
      </p>
      <p class="rejection" role="alert">
        {rejection}
      </p>
    </section>
  );
}

function noteOf(store: RunStore): string {
  const { value: answer } = store.answer;
  if (answer !== undefined) return `${capitalized(answer)}.`;
  const atStart = batchAtStart(store);
  if (atStart) return atStart.text;
  return waitsForWorkers(store) ? 'Training starts when the first worker joins.' : '';
}

function waitsForWorkers({ status, workers }: RunStore): boolean {
  return status.value.name === 'waiting' && !workers.value.some(({ phase }) => phase === 'ready');
}

function Buttons({ store, onAction }: ControlProps) {
  const isConfirming = useSignal(false);
  const { value: progress } = store.progress;
  const isAnswering = store.connection.value.phase === 'live' && store.status.value.isCurrent;
  const cannotRun = !progress || store.isOver.value || !isAnswering;
  const next = nextAction(progress);
  // Start was pressed or is not needed; only a worker is missing.
  const isStarting = next === 'start' && progress?.pauseRequested === false && waitsForWorkers(store);
  const hasNoBatch =
    next === 'start' && batchAtStart(store)?.batch === undefined && store.run.value?.planAtStart !== undefined;
  const kept = useKeptFocus<HTMLDivElement>(`${next} ${isStarting} ${cannotRun}`);
  const act = (action: AdminAction): void => {
    isConfirming.value = false;
    store.rejection.value = undefined;
    store.answer.value = undefined;
    onAction(action);
  };
  return (
    <div ref={kept} class="row" role="toolbar" aria-label="Control the run">
      {store.isOver.value && store.run.value?.canRunAgain ? (
        <button type="button" class="next-action primary" popovertarget={runAgainId} disabled={!isAnswering}>
          Run again
        </button>
      ) : (
        <button
          type="button"
          class={`next-action ${next === 'pause' ? '' : 'primary'}`}
          disabled={cannotRun || isStarting || hasNoBatch}
          onClick={() => act(next)}
        >
          {actionTitles[next]}
        </button>
      )}
      <button type="button" title={saveTitle} disabled={!progress || !isAnswering} onClick={() => act('save')}>
        Save
      </button>
      <StopButtons isConfirming={isConfirming} isDisabled={cannotRun} onStop={() => act('stop')} />
    </div>
  );
}

interface StopButtonsProps {
  readonly isConfirming: Signal<boolean>;
  readonly isDisabled: boolean;
  readonly onStop: () => void;
}

function StopButtons({ isConfirming, isDisabled, onStop }: StopButtonsProps) {
  const kept = useKeptFocus<HTMLSpanElement>(isConfirming.value);
  return (
    <span ref={kept} class="row">
      {isConfirming.value ? (
        <>
          <button type="button" class="danger" onClick={onStop}>
            Stop for good
          </button>
          <button type="button" onClick={() => (isConfirming.value = false)}>
            Keep training
          </button>
        </>
      ) : (
        <button type="button" disabled={isDisabled} onClick={() => (isConfirming.value = true)}>
          Stop
        </button>
      )}
    </span>
  );
}

const saveTitle =
  'Saves the current model to a file on the coordinator’s computer. When the run is over, “This tab” offers the model as a download.';

const actionTitles = { start: 'Start', pause: 'Pause', resume: 'Resume' } as const;

function nextAction(progress: ProgressMessage | undefined): keyof typeof actionTitles {
  if (progress?.phase === 'waiting') return 'start';
  return progress?.phase === 'paused' && progress.pauseRequested ? 'resume' : 'pause';
}

/** Id of the dialog, for the button that opens it. */
const runAgainId = 'run-again';

interface RunAgainProps {
  readonly run: RunMessage;
  /** Whether the run is over and its server still answers. */
  readonly isPossible: boolean;
  /** Why the last request was rejected. */
  readonly rejection: string | undefined;
  readonly onRunAgain: (changes: RunChanges) => void;
}

/**
 * The settings of a new run, in the order of the form. Settings without choices are numbers. `option` is the setting's
 * path in messages, its name by default.
 */
const settings = {
  /** Its choices depend on the data. */
  model: { label: 'Model', choices: [] },
  optimizer: { label: 'Optimizer', choices: ['sgd', 'momentum', 'adam', 'adamw', 'rmsprop'], option: 'optimizer.type' },
  learningRate: { label: 'Learning rate', option: 'optimizer.learningRate' },
  schedule: { label: 'Schedule', choices: ['constant', 'step', 'cosine'], option: 'optimizer.schedule' },
  epochs: { label: 'Epochs' },
  batch: { label: 'Batch' },
  seed: { label: 'Seed' },
} as const satisfies Readonly<Record<string, SettingEntry>>;

interface SettingEntry {
  readonly label: string;
  readonly choices?: readonly string[];
  readonly option?: string;
}

type SettingName = keyof typeof settings;

/** Names a setting by its label instead of its option. */
function rejectionText(text: string): string {
  for (const [name, { label, option = name }] of Object.entries<SettingEntry>(settings)) {
    if (text.startsWith(`${option}:`)) return `${label}${text.slice(option.length)}`;
  }
  return text;
}

/** The built-in models that fit the run's data. */
function modelsFor(run: RunMessage): readonly string[] {
  if (run.sampleField.role === 'index') return ['gpt', 'gpt-nano', 'names'];
  return isPicture(run) ? ['mlp', 'cnn', 'cnn-large'] : ['mlp'];
}

/** A popover over the page, to avoid layout shift when a run ends. */
function RunAgain({ run, isPossible, rejection, onRunAgain }: RunAgainProps) {
  const bubble = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isPossible) bubble.current?.hidePopover();
  }, [isPossible]);
  const texts = useSignal(settingsOf(run));
  const names = Object.keys(settings) as SettingName[];
  const before = unchangedSettings(run, texts.value.optimizer);
  const change = (name: SettingName, text: string): void => {
    const { learningRate, schedule } = unchangedSettings(run, text);
    texts.value = { ...texts.value, [name]: text, ...(name === 'optimizer' && { learningRate, schedule }) };
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const changed = names.filter((name) => texts.value[name] !== before[name]);
    const parsed = changed.map((name) => [name, 'choices' in settings[name] ? texts.value[name] : +texts.value[name]]);
    onRunAgain(Object.fromEntries(parsed));
  };
  return (
    <div ref={bubble} id={runAgainId} popover="auto" class="bubble" role="dialog" aria-label="Run again">
      <form class="stack" onSubmit={submit}>
        <h2>Run again</h2>
        <p class="aside">
          Starts another run on this server with the current workers. Settings that you do not change keep their values,
          but another model brings its own defaults.
        </p>
        {names.map((name) => (
          <Setting
            key={name}
            {...settings[name]}
            {...(name === 'model' && { choices: modelsFor(run) })}
            text={texts.value[name]}
            unchanged={before[name]}
            onChange={(text) => change(name, text)}
          />
        ))}
        <p class="error">{rejection}</p>
        <button type="submit" class="primary">
          Start the run
        </button>
      </form>
    </div>
  );
}

interface SettingProps {
  readonly label: string;
  readonly choices?: readonly string[];
  readonly text: string;
  /** The text of the setting if it is not changed; '' stands for a default that the page does not know. */
  readonly unchanged: string;
  readonly onChange: (text: string) => void;
}

function Setting({ label, choices, text, unchanged, onChange }: SettingProps) {
  if (!choices) {
    return (
      <label>
        {label}
        <input
          type="number"
          step="any"
          required={unchanged !== ''}
          placeholder="default"
          value={text}
          onInput={({ currentTarget }) => onChange(currentTarget.value)}
        />
      </label>
    );
  }
  // Also offers the run's own value, such as the name of a custom model.
  const options = [...new Set([unchanged, text, ...choices])].map((option) => [option, option || 'default'] as const);
  return <Choice label={label} value={text} options={options} onChoose={onChange} />;
}

/** The texts of a form in which only the optimizer may have changed: another one brings its own rate and schedule. */
function unchangedSettings(run: RunMessage, optimizer: string): Readonly<Record<SettingName, string>> {
  const before = settingsOf(run);
  return optimizer === before.optimizer ? before : { ...before, learningRate: '', schedule: '' };
}

function settingsOf({ model, config }: RunMessage): Readonly<Record<SettingName, string>> {
  const { type, learningRate, schedule } = optimizerSettingsOf(config);
  return {
    model: modelName({ model }),
    optimizer: type,
    learningRate: `${learningRate}`,
    schedule,
    epochs: `${config.epochs}`,
    batch: `${config.diloco?.batch ?? config.batch}`,
    seed: `${config.seed}`,
  };
}
