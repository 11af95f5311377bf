/** Asks a guest without the token for the short code that the room's view and the owner's page show. */
import { useSignal } from '@preact/signals';
import { bindInput } from './bind-input.ts';

interface CodeFormProps {
  /** Why the last code was refused. */
  readonly fault: string | undefined;
  readonly onCode: (code: string) => void;
}

const codeLength = 6;
/** Long enough to paste a whole token instead. */
const mostLetters = 256;

export function CodeForm({ fault, onCode }: CodeFormProps) {
  const code = useSignal('');
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = code.value.replace(/\s/g, '');
    if (text !== '') onCode(text.length === codeLength ? text.toUpperCase() : text);
  };
  return (
    <form class="code-form" onSubmit={submit}>
      <label>
        Code of this run
        <input
          class="code-input"
          maxLength={mostLetters}
          autocomplete="off"
          autocapitalize="characters"
          spellcheck={false}
          aria-describedby="code-fault"
          {...bindInput(code)}
        />
      </label>
      <button type="submit" class="primary">
        Enter
      </button>
      <p class="aside">
        Type the six letters and digits that the owner of this run shows.{' '}
        <span id="code-fault" class="error" role="status">
          {fault ?? ''}
        </span>
      </p>
    </form>
  );
}
