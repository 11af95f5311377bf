/** A button that copies a text and confirms it. */
import { useSignal } from '@preact/signals';
import { copyText } from '../look/copy-text.ts';

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const outcome = useSignal<{ readonly text: string; readonly isCopied: boolean }>();
  const copy = async (): Promise<void> => {
    outcome.value = { text, isCopied: await copyText(text) };
  };
  const isNews = outcome.value?.text === text;
  return (
    <button type="button" onClick={copy}>
      {isNews ? (outcome.value?.isCopied ? 'Copied' : 'Select it and copy it by hand') : label}
    </button>
  );
}
