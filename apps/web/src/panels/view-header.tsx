/** The top of a view other than the run's: a skip link for the keyboard, the title, and links to the other views. */
import { Mark, ThemeButton } from './header.tsx';

interface ViewHeaderProps {
  readonly title: string;
  readonly subtitle: string;
  /** The view's own address, for the skip link. `content` names the link's target. */
  readonly here: string;
  readonly content: string;
  readonly other: { readonly href: string; readonly title: string };
}

export function ViewHeader({ title, subtitle, here, content, other }: ViewHeaderProps) {
  return (
    <>
      <a class="skip" href={here} onClick={focusMain}>
        Skip to {content}
      </a>
      <header class="top">
        <h1>
          <Mark />
          {title}
        </h1>
        <p class="subtitle">{subtitle}</p>
        <div class="top-buttons">
          <a class="button" href="#run">
            The run
          </a>
          <a class="button" href={other.href}>
            {other.title}
          </a>
          <ThemeButton />
        </div>
      </header>
    </>
  );
}

/** Following the link would change the view's address. */
function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
