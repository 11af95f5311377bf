/** The top of a view beside the run: a way past it for the keyboard, its title, and links to the other views. */
import { Mark, ThemeButton } from './header.tsx';

interface ViewHeaderProps {
  readonly title: string;
  readonly subtitle: string;
  /** This view's own address, and what a person skips to. */
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

/** A link would change the view's address. */
function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
