/** How a network learns, chapter by chapter: each computes what it says with our own packages, and shows it as plain data. */
export type { Chapter, LessonContext } from './chapter.ts';
export { chapters } from './chapters.ts';
export { accepts, type Control, expectedOf, type RangeControl, type Setting } from './controls.ts';
export { type Digits, fewestDigits, imageSize, labeledImages } from './digits.ts';
export type { Bars, Curves, Exhibit, Figures, Graph, GraphNode, Grid, Plane, Table } from './exhibit.ts';
export { glossary, partsOf } from './glossary.ts';
