/** The top of every view: its title, links to the others, and buttons for joining, control and the theme. */

import type { RunMessage } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { bindInput } from '../look/controls.tsx';
import { plural, significant, thousands } from '../look/format.ts';
import { nextTheme, type Theme, theme } from '../look/theme.ts';
import { modelName, optimizerSettingsOf, type RunStore } from '../watch/run-store.ts';
import { needsCode, sentence } from '../watch/status.ts';
import { JoinAddressView } from './invite.tsx';

interface HeaderProps {
  readonly store: RunStore;
  readonly token: string | undefined;
  /** Absent if the admin token is known. */
  readonly onUnlock: ((adminToken: string) => void) | undefined;
}

export function Header({ store, token, onUnlock }: HeaderProps) {
  const isLocked = needsCode(store.status.value);
  // Nothing is shown of a run that needs a code.
  const run = isLocked ? undefined : store.run.value;
  return (
    <Top title="Lockstep" subtitle={run ? description(run) : ' '} here="#main" content="the run">
      <a class="button" href="#learn">
        Learn
      </a>
      <a class="button" href="#inside">
        Inside
      </a>
      {isLocked ? (
        // Reserves the button's place, to avoid layout shift.
        <button type="button" disabled>
          Invite
        </button>
      ) : (
        <JoinAddressView run={run ?? store.dataSetup.value} token={token} code={store.joinCode.value} />
      )}
      {onUnlock && <Unlock fault={store.role.value?.fault} onToken={onUnlock} />}
    </Top>
  );
}

interface TopProps {
  readonly title: string;
  readonly subtitle: string;
  /** The view's own address, for the skip link. `content` names the link's target. */
  readonly here: string;
  readonly content: string;
  /** Buttons before that of the theme. */
  readonly children: ComponentChildren;
}

export function Top({ title, subtitle, here, content, children }: TopProps) {
  return (
    <>
      <a class="skip" href={here} onClick={focusMain}>
        Skip to {content}
      </a>
      <header class="row top">
        <h1>
          <Mark />
          {title}
        </h1>
        <p class="subtitle">{subtitle}</p>
        <div class="top-buttons">
          {children}
          <ThemeButton />
        </div>
      </header>
    </>
  );
}

function description({ model, parameters, config, microbatches }: RunMessage): string {
  const { type, learningRate } = optimizerSettingsOf(config);
  const { diloco, seed } = config;
  const batch = diloco
    ? `${diloco.replicas} replicas x ${diloco.innerSteps} inner steps x ${diloco.batch} samples`
    : `batch ${config.batch} in ${plural(microbatches, 'microbatch', 'microbatches')}`;
  const optimizer = `${type}, lr ${significant(learningRate, 6)}`;
  return `${modelName({ model })}, ${thousands(parameters)} parameters · ${batch} · ${optimizer} · seed ${seed}`;
}

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <rect x="2" y="4" width="13" height="4" rx="1" class="mark-a" />
      <rect x="2" y="10" width="13" height="4" rx="1" class="mark-b" />
      <rect x="2" y="16" width="13" height="4" rx="1" class="mark-a" />
      <rect x="18.5" y="2" width="2" height="20" rx="1" class="mark-line" />
    </svg>
  );
}

/** Title and icon of each theme: the disk is half filled, empty or full. */
const themes: Readonly<Record<Theme, { readonly title: string; readonly fill: string }>> = {
  system: { title: 'Auto', fill: 'M8 1.75a6.25 6.25 0 0 1 0 12.5z' },
  light: { title: 'Light', fill: '' },
  dark: { title: 'Dark', fill: 'M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5z' },
};

export function ThemeButton() {
  const { title, fill } = themes[theme.value];
  return (
    <button type="button" class="theme" onClick={nextTheme} aria-label={`${title}: the page's colors`}>
      <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
        <circle cx="8" cy="8" r="6.25" class="icon-line" />
        <path d={fill} class="icon-fill" />
      </svg>
      <span>{title}</span>
    </button>
  );
}

interface ViewHeaderProps extends Omit<TopProps, 'children'> {
  /** Title of the window while the view is open. */
  readonly windowTitle?: string;
  readonly other: { readonly href: string; readonly title: string };
}

export function ViewHeader({ other, windowTitle, ...top }: ViewHeaderProps) {
  const shown = windowTitle ?? top.title;
  useEffect(() => {
    const before = document.title;
    document.title = `${shown}, Lockstep`;
    return () => {
      document.title = before;
    };
  }, [shown]);
  return (
    <Top {...top}>
      <a class="button" href="#run">
        The run
      </a>
      <a class="button" href={other.href}>
        {other.title}
      </a>
    </Top>
  );
}

/** Following the link would change the view's address. */
function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

interface UnlockProps {
  /** Why the last token was refused. */
  readonly fault: string | undefined;
  readonly onToken: (token: string) => void;
}

function Unlock({ fault, onToken }: UnlockProps) {
  const token = useSignal('');
  const bubble = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (fault !== undefined) bubble.current?.showPopover();
  }, [fault]);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (token.value.trim() !== '') onToken(token.value.trim());
  };
  return (
    <>
      <button type="button" popovertarget="unlock">
        Control
      </button>
      <div ref={bubble} id="unlock" popover="auto" class="bubble" role="dialog" aria-label="Control this run">
        <form class="stack unlock" onSubmit={submit}>
          <p>
            Start, pause, stop and save need the admin token. It is in the address that the coordinator printed for its
            owner.
          </p>
          <label>
            Admin token
            <input type="password" autocomplete="off" {...bindInput(token)} />
          </label>
          <p class="error" role="alert">
            {fault === undefined ? '' : sentence(fault)}
          </p>
          <button type="submit" class="primary">
            Unlock
          </button>
        </form>
      </div>
    </>
  );
}
