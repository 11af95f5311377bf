/** Actions of the owner on a worker: rename it, remove it and, with fault injection, make it fail. */
import type { FaultAction } from '@lockstep/protocol';
import { type Signal, useSignal } from '@preact/signals';
import { useKeptFocus } from '../look/keep-focus.ts';
import { bindInput } from './bind-input.ts';

export interface WorkerOwner {
  readonly rename: (workerId: string, name: string) => void;
  readonly remove: (workerId: string) => void;
  /** Absent unless the run allows fault injection. */
  readonly injectFault: ((action: FaultAction, workerId: string) => void) | undefined;
}

interface WorkerActionsProps {
  readonly id: string;
  readonly name: string;
  readonly owner: WorkerOwner;
}

const faultTitles = { kill: 'Kill', freeze: 'Freeze', slow: 'Slow' } as const satisfies Record<FaultAction, string>;

type Step = 'closed' | 'choosing' | 'naming' | 'removing';

export function WorkerActions(props: WorkerActionsProps) {
  const step = useSignal<Step>('closed');
  const kept = useKeptFocus<HTMLSpanElement>(step.value);
  return (
    <span ref={kept} class="worker-actions">
      <StepActions {...props} step={step} />
    </span>
  );
}

function StepActions({ id, name, owner, step }: WorkerActionsProps & { readonly step: Signal<Step> }) {
  const label = `${id} ${name}`;
  const cancel = (): void => {
    step.value = 'closed';
  };
  if (step.value === 'closed') {
    return <Action title="Edit" label={label} onPress={() => (step.value = 'choosing')} />;
  }
  if (step.value === 'naming') {
    return <NameForm name={name} label={label} onName={(given) => owner.rename(id, given)} onEnd={cancel} />;
  }
  if (step.value === 'removing') {
    return (
      <>
        <Action title="Remove for good" label={label} isDanger onPress={() => owner.remove(id)} />
        <Action title="Keep" label={label} onPress={cancel} />
      </>
    );
  }
  const { injectFault } = owner;
  return (
    <>
      <Action title="Rename" label={label} onPress={() => (step.value = 'naming')} />
      <Action title="Remove" label={label} onPress={() => (step.value = 'removing')} />
      {injectFault &&
        (Object.keys(faultTitles) as FaultAction[]).map((fault) => (
          <Action key={fault} title={faultTitles[fault]} label={label} onPress={() => injectFault(fault, id)} />
        ))}
      <Action title="Done" label={label} onPress={cancel} />
    </>
  );
}

interface ActionProps {
  readonly title: string;
  readonly label: string;
  readonly isDanger?: boolean;
  readonly onPress: () => void;
}

function Action({ title, label, isDanger = false, onPress }: ActionProps) {
  return (
    <button
      type="button"
      class={isDanger ? 'small danger' : 'small'}
      aria-label={`${title} ${label}`}
      onClick={onPress}
    >
      {title}
    </button>
  );
}

interface NameFormProps {
  readonly name: string;
  readonly label: string;
  readonly onName: (name: string) => void;
  readonly onEnd: () => void;
}

function NameForm({ name, label, onName, onEnd }: NameFormProps) {
  const given = useSignal(name);
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = given.value.trim();
    if (text !== '' && text !== name) onName(text);
    onEnd();
  };
  return (
    <form class="name-form" onSubmit={submit} onKeyDown={({ key }) => key === 'Escape' && onEnd()}>
      <input
        aria-label={`Name of ${label}`}
        maxLength={80}
        autocomplete="off"
        spellcheck={false}
        ref={(input) => input?.focus()}
        {...bindInput(given)}
      />
      <button type="submit" class="small" aria-label={`Save the name of ${label}`}>
        Save
      </button>
    </form>
  );
}
