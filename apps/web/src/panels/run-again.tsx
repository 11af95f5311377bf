/** A form with the settings of a finished run, which starts another run on the same server. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Run } from '../watch/run-store.ts';
import { optimizerOf } from '../watch/run-summary.ts';
import { bindInput } from './bind-input.ts';

/** Settings that differ from those of the finished run. */
export type RunChanges = Omit<WatchMessageOf<'runAgain'>, 'type' | 'token'>;

/** Id of the dialog, for the button that opens it. */
export const runAgainId = 'run-again';

interface RunAgainProps {
  readonly run: Run;
  /** Whether the run is over and its server still answers. */
  readonly isPossible: boolean;
  /** Why the last request was rejected. */
  readonly rejection: string | undefined;
  readonly onRunAgain: (changes: RunChanges) => void;
}

const optimizers = ['sgd', 'momentum', 'adam', 'adamw', 'rmsprop'];
const models = ['mlp', 'cnn'];
const schedules = ['constant', 'step', 'cosine'];

/** A popover over the page, to avoid layout shift when a run ends. */
export function RunAgain({ isPossible, ...form }: RunAgainProps) {
  const bubble = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!isPossible) bubble.current?.hidePopover();
  }, [isPossible]);
  return (
    <div ref={bubble} id={runAgainId} popover="auto" class="bubble" role="dialog" aria-label="Run again">
      <RunAgainForm {...form} />
    </div>
  );
}

function RunAgainForm({ run, rejection, onRunAgain }: Omit<RunAgainProps, 'isPossible'>) {
  const before = valuesOf(run);
  const values = {
    seed: useSignal(before.seed),
    learningRate: useSignal(before.learningRate),
    batch: useSignal(before.batch),
    epochs: useSignal(before.epochs),
    schedule: useSignal(before.schedule),
    optimizer: useSignal(before.optimizer),
    model: useSignal(before.model),
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const changed = Object.entries(values).filter(([name, { value }]) => value !== before[name as keyof Values]);
    const parsed = changed.map(([name, { value }]) => [name, isNumeric(name) ? Number(value) : value] as const);
    onRunAgain(Object.fromEntries(parsed));
  };
  return (
    <form class="run-again" onSubmit={submit}>
      <h2>Run again</h2>
      <p class="aside">
        Another run on this server, with the workers that are here. What you do not change stays as it was.
      </p>
      <Choice label="Model" names={models} bound={values.model} />
      <Choice label="Optimizer" names={optimizers} bound={values.optimizer} />
      <NumberField label="Learning rate" bound={values.learningRate} />
      <Choice label="Schedule" names={schedules} bound={values.schedule} />
      <NumberField label="Epochs" bound={values.epochs} />
      <NumberField label="Batch" bound={values.batch} />
      <NumberField label="Seed" bound={values.seed} />
      <p class="error">{rejection ?? ''}</p>
      <button type="submit" class="primary">
        Begin the run
      </button>
    </form>
  );
}

function NumberField({ label, bound }: { readonly label: string; readonly bound: Signal<string> }) {
  return (
    <label>
      {label}
      <input type="number" step="any" required {...bindInput(bound)} />
    </label>
  );
}

const numericNames = ['seed', 'learningRate', 'batch', 'epochs'] as const;
type NumericName = (typeof numericNames)[number];

type Values = Readonly<Record<NumericName | 'optimizer' | 'schedule' | 'model', string>>;

function valuesOf({ model, config }: Run): Values {
  const { name = '' } = model as { readonly name?: string };
  const { type, learningRate, schedule } = optimizerOf(config);
  return {
    model: name,
    optimizer: type,
    schedule,
    epochs: `${config.epochs}`,
    learningRate: `${learningRate}`,
    batch: `${config.diloco?.batch ?? config.batch}`,
    seed: `${config.seed}`,
  };
}

function isNumeric(name: string): boolean {
  return (numericNames as readonly string[]).includes(name);
}

interface ChoiceProps {
  readonly label: string;
  readonly names: readonly string[];
  readonly bound: Signal<string>;
}

/** Also offers the run's own value, such as the name of a custom model. */
function Choice({ label, names, bound }: ChoiceProps) {
  const shown = names.includes(bound.value) ? names : [bound.value, ...names];
  return (
    <label>
      {label}
      <select {...bindInput(bound)}>
        {shown.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
