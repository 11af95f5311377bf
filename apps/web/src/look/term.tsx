/** Terms that show their explanation when pressed, and the glossary of a run's panels. */
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import { capitalized } from './format.ts';

interface TermProps {
  /** Id of the explanation, unique on this page. */
  readonly id: string;
  readonly term: string;
  readonly explanation: string;
  /** The term as inflected in the text. */
  readonly children: ComponentChildren;
}

export function Term({ id, term, explanation, children }: TermProps) {
  const word = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button ref={word} type="button" class="term" popovertarget={id}>
        {children}
      </button>
      <span
        id={id}
        popover="auto"
        class="bubble term-bubble"
        role="note"
        onBeforeToggle={({ currentTarget, newState }) => {
          if (newState === 'open') placeAt(word.current!.getBoundingClientRect(), currentTarget.style);
        }}
      >
        <strong>{term}</strong>: {explanation}
      </span>
    </>
  );
}

/** Places a bubble below its word, or above it in the lower half of the window. It scrolls with the page. */
function placeAt({ left, top, bottom }: DOMRect, style: CSSStyleDeclaration): void {
  const isAbove = top + bottom > innerHeight;
  style.setProperty('--left', `${left}px`);
  style.top = isAbove ? 'auto' : `${scrollY + bottom}px`;
  style.bottom = isAbove ? `${innerHeight - scrollY - top}px` : 'auto';
}

const runGlossary = {
  'training loss':
    'How wrong the network is on the samples that it learns from: cross-entropy for classes, mean squared error for values. Shown as the mean over recent steps.',
  'training accuracy':
    'The share of training samples that the network classifies correctly, as the mean over recent steps. It is measured before each step changes the network.',
  'test accuracy':
    'The share of test samples that the network classifies correctly. It never learns from them, so this is how well it will do on new samples.',
  'training RMSE':
    'The root of the mean squared error on the samples that the network learns from: about how far off it is, in the unit of the values.',
  'test RMSE':
    'The root of the mean squared error on samples that the network never learns from, in the unit of the values. R² is the share of their variance that it explains.',
  'validation perplexity':
    'The network is as unsure of the next token as if it had to guess among this many equally likely ones: e to the power of the loss. Measured on the part of the text that it never learns from.',
  'bits per byte':
    'The loss in bits, on the part of the text that the network never learns from: with its predictions, a program could compress each byte of that part to this many bits.',
  'bits per character':
    'The loss in bits, on the part of the text that the network never learns from: with its predictions, a program could compress each character of that part to this many bits.',
  'bits per token':
    'The loss in bits, on the part of the text that the network never learns from: with its predictions, a program could compress each token of that part to this many bits.',
  step: 'One update of all parameters: workers compute the gradients of a mini-batch in shards, the gradients are added in a fixed order, and the optimizer applies their mean.',
  'confusion matrix':
    'A row for each true class, a column for each predicted class. Correct predictions are on the diagonal; a dark cell next to it is a pair of classes that the network confuses.',
  metrics:
    'Precision is the share of the samples predicted as a class that belong to it, recall the share of its samples that are found, F1 their harmonic mean. The areas under the ROC and precision-recall curves rank samples by probability: 1 is perfect. For values, MAE and RMSE are errors in their unit.',
} as const satisfies Readonly<Record<string, string>>;

export type RunTermName = keyof typeof runGlossary;

interface RunTermProps {
  /** Each term is used once per page. */
  readonly term: RunTermName;
  readonly children: ComponentChildren;
}

export function RunTerm({ term, children }: RunTermProps) {
  const id = `run-term-${term.replaceAll(' ', '-')}`;
  return <Term {...{ id, term: capitalized(term), explanation: runGlossary[term], children }} />;
}
