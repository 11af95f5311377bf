/** A term in a run's panels, which shows its explanation when pressed. */

import type { ComponentChildren } from 'preact';
import { Term } from '../look/term.tsx';
import { type RunTerm as RunTermName, runGlossary } from './run-glossary.ts';

interface RunTermProps {
  /** Each term is used once per page. */
  readonly term: RunTermName;
  readonly children: ComponentChildren;
}

export function RunTerm({ term, children }: RunTermProps) {
  const title = `${term[0]!.toUpperCase()}${term.slice(1)}`;
  return (
    <Term id={`run-term-${term.replaceAll(' ', '-')}`} term={title} explanation={runGlossary[term]}>
      {children}
    </Term>
  );
}
